"""The ledger: ledger."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from stocklib.settings import Settings
from workbench.cli.base import DATE, print_table, progress, verb

if TYPE_CHECKING:
    from stocklib.pipeline.reconcile import Balance

# More rows than this are summed by day, then by topic.
_ROWS = 40
# How many characters of a foreign name are shown.
_WIDTH = 80


@verb()
@click.option("--day", type=DATE, help="Only messages that were fetched on this day, New York's.")
@click.option("--since", type=DATE, help="Only messages that were fetched on this New York day or later.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.option("--detail", is_flag=True, help="A row for every partition, day and symbol.")
@click.option("--accept", is_flag=True, help="Accept the current problems: they no longer stop the publish.")
def ledger(settings: Settings, day: Any, since: Any, as_json: bool, detail: bool, accept: bool) -> None:
    """Check that every message is accounted for, from the producer to silver.

    Reads the identity of every message in the warehouse, the lake's listing, and what Kafka holds beyond the committed
    offsets; --day and --since make it faster. Exit status: 0 it balances, 1 it does not, 2 it balances but a hop could
    not be checked.
    """
    import orjson

    from stocklib.pipeline.reconcile import balance, record

    if day and since:
        raise click.UsageError("either --day or --since")
    with progress("steps") as advance:
        found = balance(settings, day=day, since=since, on_progress=advance)
        if day is None and since is None:
            found = record(settings, found, accept=accept)
    if as_json:
        click.echo(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2, default=str))
    else:
        _show(found, detail=detail)
    sys.exit(found.exit_status)


def _show(found: "Balance", *, detail: bool) -> None:
    from stocklib.pipeline.reconcile.balance import OF_EVENTS, OF_MESSAGES

    for name, rows, keys, counts in (
        ("rows", found.rows, ("topic", "partition", "day", "symbol"), OF_MESSAGES),
        ("runs", found.runs, ("run_id", "symbol"), OF_EVENTS),
    ):
        if rows:
            print_table(_frame(rows, keys, counts, most=10**9 if detail else _ROWS))
            click.echo()
        else:
            click.echo(f"no {name} yet")
    for line in (*found.problems, *found.remarks):
        click.echo(line)
    for hop, reason in found.unchecked.items():
        click.echo(f"not checked: {hop}: {reason}")
    click.echo(found)


def _frame(rows: Sequence[Any], keys: tuple[str, ...], counts: tuple[str, ...], *, most: int) -> Any:
    """Return the rows as a table of at most so many: sum over the last keys until it fits."""
    import pandas as pd

    from stocklib.pipeline.reconcile.balance import sums

    shown = list(keys)
    while True:
        summed = sums(rows, shown, counts)
        if len(summed) <= most or len(shown) == 1:
            break
        shown.pop()
    table = [
        [*("" if part is None else str(part)[:_WIDTH] for part in key), *(f"{into[name]:,}" for name in counts)]
        for key, into in summed.items()
    ]
    return pd.DataFrame(table, columns=[*shown, *(name.replace("_", " ") for name in counts)])
