"""``python -m finnhub_replay``, or ``stocks replay``: only the replay server."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from finnhub_replay.api import ApiRules
from finnhub_replay.bar_files import read_tape
from finnhub_replay.clock import VirtualClock, read_speed, read_start
from finnhub_replay.exchange import Exchange
from finnhub_replay.faults import Faults, describe_faults
from finnhub_replay.server import serve
from finnhub_replay.trade_stream import TradeStream
from stocklib.errors import EmbeddedError

_EPILOG = f"""\
Without --data it replays AAPL, FB, GOOG, IBM and MSFT from 2000-03-01 to 2013-03-01.

\b
Faults, one at most a call; CHANCE is a share of the calls, SECONDS may have a unit (500ms, 3s, 5m, 1h):
{describe_faults()}

For example --faults "drop=0.01,slow=0.02:3s,429=0.005:10". While it runs, GET /replay/faults counts them, and POST
/replay/faults with {{"faults": "…", "seed": N}} orders others, "" none; with the key, if the server has one."""
_NAME = """\
A host name of the server, such as that of its container; other names are refused, so that no web page reaches it under
another name (may be repeated)."""


@click.command(epilog=_EPILOG, context_settings={"show_default": True, "max_content_width": 120})
@click.option("--port", type=click.IntRange(1, 65535), default=8600, help="Where to listen.")
@click.option("--host", default="127.0.0.1", help="The default is this machine only; others need --key.")
@click.option("--name", "names", multiple=True, help=_NAME)
@click.option("--start", default="2012-12-14T09:29:00", help="New York time.")
@click.option("--speed", default="step", help="Step (a virtual second a quote), or a factor from 1 to 3600.")
@click.option("--data", type=click.Path(path_type=Path), help="Your own bars: symbol,date,open,high,low,close,volume.")
@click.option(
    "--key", envvar="STOCKS_REPLAY_KEY", default="", help="The only valid key; ps does not show the variable."
)
@click.option("--free-plan", is_flag=True, help="403 on candles, splits and dividends.")
@click.option("--calls-per-minute", type=click.IntRange(0), default=0, metavar="N", help="429 above so many; 0: any.")
@click.option("--faults", default="", metavar="KIND=CHANCE[:SIZE],…", help="What goes wrong, listed below.")
@click.option("--fault-seed", type=int, default=0, metavar="N", help="The same one draws the same faults.")
@click.option("--ws-symbols", type=click.IntRange(0), default=50, metavar="N", help="Symbols that a websocket takes.")
def main(port: int, host: str, names: tuple[str, ...], data: Path | None, **options: Any) -> None:
    """Serve Finnhub's API over recorded daily bars, on a virtual clock, until SIGINT or SIGTERM."""
    try:
        tape = read_tape(data)
        clock = VirtualClock(read_start(options["start"]), speed=read_speed(options["speed"]))
        faults = Faults(options["faults"], seed=options["fault_seed"])
        rules = ApiRules(
            key=options["key"],
            free_plan=options["free_plan"],
            calls_per_minute=options["calls_per_minute"],
            ws_symbols=options["ws_symbols"],
            names=(host, *names),
        )
        announcement = f"replaying {', '.join(tape.symbols[:8])} at http://{host}:{port}/api/v1; Ctrl-C ends it"
        feed = TradeStream(Exchange(tape), clock, rules, faults)
        serve(feed, port=port, host=host, on_ready=partial(print, announcement, flush=True))
    except EmbeddedError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main(prog_name="stocks replay")
