"""``python -m workbench.airflow``: a local Airflow on SQLite; ``--prepare`` only creates its database and pools."""

import signal
import sys

import click

from stocklib.errors import StocksError
from stocklib.settings import read_settings
from workbench.airflow.local_airflow import prepare, run_local


@click.command()
@click.option("--port", type=int, default=8080, show_default=True, help="Port of the web page, on loopback.")
@click.option(
    "--prepare",
    "only_prepare",
    is_flag=True,
    help="Only migrate the database that AIRFLOW__* names, and create the pools.",
)
def main(port: int, only_prepare: bool) -> None:
    """Run a local Airflow on SQLite with the DAGs of this checkout and the embedded stack, until Ctrl-C."""
    # a supervisor's SIGTERM stops the servers as Ctrl-C does, which a shell's background job would ignore
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if only_prepare:
            prepare(read_settings())
        else:
            sys.exit(run_local(read_settings(), port=port, say=click.echo))
    except StocksError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
