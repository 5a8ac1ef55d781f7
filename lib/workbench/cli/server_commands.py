"""The demo, JupyterLab and the embedded stack: demo, lab, up, status, down, doctor, replay."""

import json
import logging
import signal
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from stocklib.settings import Settings
from workbench.cli.base import DATE, Lazy, main, verb


@main.command()
@click.option("--day", type=DATE, help="The session to replay. Default: 2012-12-14; for today's companies 2026-06-30.")
@click.option(
    "--companies",
    type=click.Choice(["recorded", "today"]),
    default="recorded",
    show_default=True,
    help="The five recorded ones, or ten of today's size over made-up bars, in a home of their own.",
)
@click.pass_obj
def demo(lazy: Lazy, day: Any, companies: str) -> None:
    """Run the whole pipeline on the embedded stack over recorded market data, then write the report."""
    from workbench.demo import DAYS, make_market, run_demo

    lazy.demo = True
    if companies == "today":
        make_market()
    lazy.settings()
    for_real = not lazy.verbose
    if for_real:
        logging.getLogger().setLevel(logging.WARNING)
    # a supervisor's SIGTERM stops the servers as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run_demo(day=day.date() if day else DAYS[companies], say=click.echo)


@verb()
@click.option("--port", type=int, default=8888, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="In a container: 0.0.0.0.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(settings: Settings, port: int, host: str, no_browser: bool) -> None:
    """Open JupyterLab on the notebooks, on loopback, with a token (that of JUPYTER_TOKEN, else a generated one)."""
    from workbench.runner import open_lab

    # SIGTERM ends JupyterLab and its kernels as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(open_lab(settings, host=host, port=port, browser=not no_browser))


@verb()
def up(settings: Settings) -> None:
    """Start the embedded servers, except those that the settings replace."""
    from workbench import embedded

    for server in embedded.up(settings, on_progress=click.echo):
        click.echo(server)


@verb()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(settings: Settings, as_json: bool) -> None:
    """Show servers and processes with their state and newest event; exit status 1 when there is an alarm."""
    from stocklib.monitoring.doubtful_answers import doubts
    from stocklib.monitoring.health import examine
    from workbench import embedded

    health = examine(settings)
    # a query would start Snowflake's warehouse: there the evening's `quality` asks
    alarms = [*health.alarms, *(doubts(settings) if settings.warehouse == "local" else [])]
    servers = embedded.status(settings)
    if as_json:
        found = {"servers": [asdict(server) for server in servers], **asdict(health), "alarms": alarms}
        click.echo(json.dumps(found, indent=2, default=lambda o: o.isoformat() if isinstance(o, datetime) else str(o)))
    else:
        for line in (*servers, *health.processes):
            click.echo(line)
        for alarm in alarms:
            click.echo(f"{click.style('ALARM', fg='red')}  {alarm}")
    sys.exit(1 if alarms else 0)


@verb()
def down(settings: Settings) -> None:
    """Stop the embedded servers; their data stays."""
    from workbench import embedded

    embedded.down(settings)
    click.echo("the embedded servers are down")


@verb()
def doctor(settings: Settings) -> None:
    """Check that every system of the settings is reachable, and name the setting to mend."""
    from workbench import embedded
    from workbench.doctor import examine

    needed = embedded.wanted(settings)
    findings = examine(settings, stopped=[name for name in needed if not embedded.is_alive(settings, name)])
    for finding in findings:
        mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
        click.echo(f"{mark}  {finding.system:<12} {finding.text}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


@verb(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def replay(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Run only the replay server: Finnhub's API over recorded bars (--help shows its options)."""
    from finnhub_replay.__main__ import main as serve

    own = [f"--data={settings.replay_bars}"] if settings.replay_bars else []
    serve([*own, *arguments], prog_name="stocks replay")
