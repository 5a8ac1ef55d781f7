"""``python -m finnhub_replay``, or ``stocks replay``: only the replay server."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from finnhub_replay.api import ApiRules
from finnhub_replay.bar_files import read_tape
from finnhub_replay.clock import VirtualClock, read_speed, read_start
from finnhub_replay.exchange import Exchange
from finnhub_replay.faults import Faults, describe_faults
from finnhub_replay.server import serve
from stocklib.errors import EmbeddedError

_EPILOG = f"""\
Without --data it replays AAPL, FB, GOOG, IBM and MSFT from 2000-03-01 to 2013-03-01.

faults, one at most a call; CHANCE is a share of the calls, SECONDS may have a unit (500ms, 3s, 5m, 1h):
{describe_faults()}
such as --faults "drop=0.01,slow=0.02:3s,429=0.005:10". While it runs, GET /replay/faults counts them, and
POST /replay/faults with {{"faults": "…", "seed": N}} orders others, "" none; with the key, if the server has one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        tape = read_tape(options.data)
        clock = VirtualClock(read_start(options.start), speed=read_speed(options.speed))
        rules = ApiRules(
            key=options.key,
            free_plan=options.free_plan,
            calls_per_minute=options.calls_per_minute,
            ws_symbols=options.ws_symbols,
            names=(options.host, *options.name),
        )
        faults = Faults(options.faults, seed=options.fault_seed)
        address = f"http://{options.host}:{options.port}/api/v1"
        announcement = f"replaying {', '.join(tape.symbols[:8])} at {address}; Ctrl-C ends it"
        ready = partial(print, announcement, flush=True)
        serve(Exchange(tape), clock, port=options.port, host=options.host, rules=rules, faults=faults, on_ready=ready)
    except EmbeddedError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stocks replay",
        description="Finnhub's API over recorded daily bars, on a virtual clock.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=_port, default=8600, help="where to listen (default 8600)")
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only; others need --key")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="a host name of the server, such as that of its container; other names are refused, so that no web page "
        "reaches it under another name (may be repeated)",
    )
    parser.add_argument("--start", default="2012-12-14T09:29:00", help="New York time (default %(default)s)")
    parser.add_argument("--speed", default="step", help="step (a virtual second a quote), or a factor from 1 to 3600")
    parser.add_argument(
        "--data",
        type=Path,
        help="a CSV or Parquet of your own daily bars: symbol,date,open,high,low,close,volume",
    )
    parser.add_argument(
        "--key",
        default=os.environ.get("STOCKS_REPLAY_KEY", ""),
        help="the only valid key (default: that of STOCKS_REPLAY_KEY, which ps does not show; else any)",
    )
    parser.add_argument("--free-plan", action="store_true", help="403 on candles, splits and dividends")
    parser.add_argument("--calls-per-minute", type=_count, default=0, metavar="N", help="429 above so many; 0: any")
    parser.add_argument("--faults", default="", metavar="KIND=CHANCE[:SIZE],…", help="what goes wrong, listed below")
    parser.add_argument("--fault-seed", type=int, default=0, metavar="N", help="the same one draws the same faults")
    parser.add_argument("--ws-symbols", type=_count, default=50, metavar="N", help="symbols that a websocket takes")
    return parser


def _port(text: str) -> int:
    if not 1 <= (port := int(text)) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 1 to 65535")
    return port


def _count(text: str) -> int:
    if (count := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return count


if __name__ == "__main__":
    sys.exit(main())
