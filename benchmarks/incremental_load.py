"""What the same new objects cost to load and transform when there is ten times as much history.

    .venv/bin/python benchmarks/incremental_load.py [--days 6] [--times 10] [--rounds 5]

Two warehouses, one with ten times the days of quotes and of daily bars, take the same new objects in turn, round by
round. Load + transform is the part that should not grow: its time, and the bytes that the process read for it (from
/proc/self/io, on Linux). The tests of whole tables and the copy that publishes follow the warehouse's size by their
nature, and are shown apart. Prints ratios of medians measured in one run.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from landed import Bar, actions, candles, landed, messages, polls_of, recorded_bars, settings_in
from record import record

from stocklib.pipeline.reconcile.prepublish_check import check as check_gate
from stocklib.sessions import sessions
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse, open_warehouse

# enough symbols that a few days fill more than one of the pieces (122,880 rows) in which DuckDB reads a table
SYMBOLS = [f"S{number:02d}" for number in range(50)]
LAST = date(2012, 12, 14)
EVERY_SECONDS = 60
STEPS = ("load + transform", "gate", "whole-table tests", "publish copy")


def bars_of(first: date, last: date) -> list[Bar]:
    """Every symbol's daily bars: IBM's recorded ones, under fifty names."""
    return [replace(bar, symbol=symbol) for bar in recorded_bars(first, last, ["IBM"]) for symbol in SYMBOLS]


def quotes_of(day: date, *, run_id: str) -> list[bytes]:
    """A session of quotes, one every few seconds a symbol."""
    polls = [poll for bar in bars_of(day, day) for poll in polls_of(bar, every=EVERY_SECONDS)]
    return messages(sorted(polls, key=lambda poll: (poll.fetched_at, poll.symbol)), run_id=run_id, seqs=lambda n: n + 1)


def make(home: Path, *, days: int) -> Settings:
    """A warehouse with so many days of quotes before the last one, and 50 times as many of daily bars."""
    settings = settings_in(home)
    warehouse = open_warehouse(settings)
    warehouse.initialise()
    past = [s.session_date for s in sessions(date(2000, 3, 1), LAST - timedelta(days=1))]
    bars = bars_of(past[-min(50 * days, len(past))], past[-1])
    fetched = datetime(2012, 12, 14, 12, tzinfo=UTC)
    history = [
        landed("ytd_historical_quotes", candles(bars, fetched), name="h", hour="2012-12-14T12"),
        landed("corporate_actions", actions(SYMBOLS, fetched), name="a", hour="2012-12-14T12"),
    ]
    warehouse.load(history)
    # day by day, as they would have come
    for day in past[-days:]:
        lines = quotes_of(day, run_id=str(day))
        warehouse.load([landed("stock_quotes", lines, name="q", hour=f"{day}T21")])
    check(warehouse, ["build", "--exclude-resource-type", "unit_test"])
    return settings


def check(warehouse: Warehouse, args: list[str]) -> None:
    result = warehouse.dbt(args)
    if not result.success:
        raise SystemExit("\n".join(result.failures))


def bytes_read() -> int:
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


def measure(work: Callable[[], None]) -> tuple[float, int]:
    began, read = time.perf_counter(), bytes_read()
    work()
    return time.perf_counter() - began, bytes_read() - read


def one_round(settings: Settings, lines: list[bytes], *, number: int) -> dict[str, tuple[float, int]]:
    warehouse = open_warehouse(settings)

    def load_and_transform() -> None:
        warehouse.load([landed("stock_quotes", lines, name=f"new-{number}", hour="2012-12-14T15")])
        check(warehouse, ["run"])

    def gate() -> None:
        newest = warehouse.newest_load()
        check_gate(settings, warehouse, since=newest - 1, upto=newest)

    return {
        "load + transform": measure(load_and_transform),
        "gate": measure(gate),
        "whole-table tests": measure(lambda: check(warehouse, ["test", "--exclude-resource-type", "unit_test"])),
        "publish copy": measure(warehouse.publish),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=6, help="days of quotes in the smaller warehouse")
    parser.add_argument("--times", type=int, default=10, help="the larger one has so many times as many")
    parser.add_argument("--rounds", type=int, default=5, help="new objects, each measured in both")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="incremental-") as folder:
        sizes = {"1x": chosen.days, f"{chosen.times}x": chosen.days * chosen.times}
        print(f"making warehouses with {sizes} days of quotes …", flush=True)
        warehouses = {name: make(Path(folder) / name, days=days) for name, days in sizes.items()}
        for name in sizes:
            size = (Path(folder) / name / "warehouse" / "build.duckdb").stat().st_size
            print(f"  {name}: {size / 1e6:.0f} MB")
        lines = quotes_of(LAST, run_id="new")
        part = len(lines) // (chosen.rounds + 1)
        seen: dict[str, dict[str, list[tuple[float, int]]]] = {n: {s: [] for s in STEPS} for n in sizes}
        # the first round warms both up and is not counted
        for number in range(chosen.rounds + 1):
            for name, settings in warehouses.items():
                costs = one_round(settings, lines[number * part : (number + 1) * part], number=number)
                for step, cost in costs.items():
                    if number:
                        seen[name][step].append(cost)
    report(seen, part)


def report(seen: dict[str, dict[str, list[tuple[float, int]]]], part: int) -> None:
    small, large = seen
    print(f"\n{part} new quotes a round; medians of {len(seen[small][STEPS[0]])} rounds\n")
    print(f"{'':20}{small + ' s':>10}{large + ' s':>10}{'ratio':>8}{small + ' MB':>12}{large + ' MB':>10}{'ratio':>8}")
    for step in STEPS:
        (t1, b1), (t2, b2) = (
            (statistics.median(c[0] for c in seen[n][step]), statistics.median(c[1] for c in seen[n][step]))
            for n in (small, large)
        )
        ratio = f"{b2 / b1:8.2f}" if b1 else f"{'-':>8}"
        print(f"{step:20}{t1:10.3f}{t2:10.3f}{t2 / t1:8.2f}{b1 / 1e6:12.1f}{b2 / 1e6:10.1f}{ratio}")
        if step == STEPS[0]:
            ratios = {f"time of load + transform: {small} / {large} history": t1 / t2}
            ratios |= {f"bytes of load + transform: {small} / {large} history": b1 / b2} if b1 else {}
    record(ratios)


if __name__ == "__main__":
    main()
