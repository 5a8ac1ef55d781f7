"""Dead letters: dlq list, show, readmit."""

import base64
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from stocklib.settings import Settings
from workbench.cli.base import main, print_table, verb


@main.group()
def dlq() -> None:
    """Dead letters: list them, show one, re-admit them after a fix."""


_SYMBOL = click.option("--symbol", help="Only those of this symbol.")
_REASON = click.option("--reason", help="Only those whose reason has this text in it.")


@verb("list", of=dlq)
@_SYMBOL
@_REASON
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
def list_dead_letters(settings: Settings, reason: str | None, symbol: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, each once, from RAW, the lake and Kafka."""
    import orjson
    import pandas as pd

    from stocklib.pipeline.readmission import read_everywhere

    known = read_everywhere(settings)
    dead_letters = _filtered(known.dead_letters, reason, symbol)
    rows = [
        {
            "id": dead_letter.id,
            "fetched": None if dead_letter.day is None else dead_letter.day.isoformat(),
            "symbol": dead_letter.key,
            "reason": dead_letter.reason,
            "state": "readmitted" if known.is_readmitted(dead_letter) else "dead",
            "messages": dead_letter.count,
            "bytes": len(dead_letter.payload or b""),
            "place": dead_letter.place,
        }
        for dead_letter in dead_letters[:limit]
    ]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    elif rows:
        print_table(pd.DataFrame(rows))
    if not as_json:
        more = f", of which {limit} are shown" if len(dead_letters) > limit else ""
        click.echo(f"{len(dead_letters)} dead letters{more}")
    for note in known.notes:
        click.echo(note, err=True)


@verb("show", of=dlq)
@click.argument("dead_letter_id", metavar="ID")
def show_dead_letter(settings: Settings, dead_letter_id: str) -> None:
    """Show one dead letter: reason, origin, headers, payload."""
    from stocklib.pipeline.readmission import read_everywhere

    known = read_everywhere(settings)
    dead_letter = known.find(dead_letter_id)
    topic, topic_id, partition, offset = dead_letter.origin
    click.echo(f"refused   {dead_letter.reason}")
    offsets = f"offsets {offset} to {dead_letter.last}" if dead_letter.is_batch else f"offset {offset}"
    click.echo(f"was       {topic}/{partition} {offsets}, topic id {topic_id}")
    click.echo(f"is        {dead_letter.place}{', and re-admitted' if known.is_readmitted(dead_letter) else ''}")
    click.echo(f"symbol    {dead_letter.key}, fetched on {dead_letter.day}")
    for name, text in dead_letter.own_headers.items():
        click.echo(f"header    {name}: {text}")
    click.echo(f"payload   {len(dead_letter.payload or b''):,} bytes{', cut' if dead_letter.is_cut else ''}:")
    if dead_letter.is_batch:
        click.echo(base64.b64encode(dead_letter.payload or b""))
    else:
        click.echo((dead_letter.payload or b"").decode("utf-8", "backslashreplace"))


@verb("readmit", of=dlq)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_SYMBOL
@_REASON
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.option("--payload-file", type=click.File("rb"), help="The corrected payload of the one dead letter.")
@click.option(
    "--quarantined", is_flag=True, help="Rebuild silver, which checks the quarantined rows again, and publish."
)
def readmit_dead_letters(
    settings: Settings,
    ids: tuple[str, ...],
    reason: str | None,
    symbol: str | None,
    everything: bool,
    payload_file: Any,
    quarantined: bool,
) -> None:
    """Validate dead letters again, and land the valid ones under their own identity.

    Safe to repeat: nothing doubles. The next load loads what landed. Exit status 1 when one is still invalid.
    """
    from stocklib.pipeline.readmission import read_everywhere, readmit, revalidate_quarantined

    if quarantined:
        if ids or reason or symbol or everything or payload_file:
            raise click.UsageError("--quarantined checks every quarantined row again: give no selection and no payload")
        before, after, done = revalidate_quarantined(settings)
        click.echo(f"{done}\n{before:,} quotes were quarantined, {after:,} are now")
        return
    if not (ids or reason or symbol or everything):
        raise click.UsageError("select dead letters by IDs, --reason, --symbol or --all")
    known = read_everywhere(settings)
    dead_letters = [known.find(one) for one in ids] if ids else _filtered(known.dead_letters, reason, symbol)
    outcomes = readmit(settings, dead_letters, known=known, payload=payload_file.read() if payload_file else None)
    for outcome in outcomes:
        click.echo(outcome)
    counts = Counter(outcome.state for outcome in outcomes)
    summary = f"{counts['readmitted']} re-admitted, {counts['already']} already there, {counts['refused']} refused"
    click.echo(f"{summary}{'; next: stocks load && stocks transform' if counts['readmitted'] else ''}")
    for note in known.notes:
        click.echo(note, err=True)
    sys.exit(1 if counts["refused"] else 0)


def _filtered(dead_letters: Sequence[Any], reason: str | None, symbol: str | None) -> list[Any]:
    return [
        dead_letter
        for dead_letter in dead_letters
        if (reason is None or reason in dead_letter.reason) and (symbol is None or symbol == dead_letter.key)
    ]
