"""``make demo``: the whole pipeline over one recorded session, on the embedded stack.

The demo's settings in; a warehouse, executed notebooks and one HTML report under its home out. Every step is the same
as in a live pipeline: only the addresses differ.
"""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from finnhub_replay import made_market, read_bars, recorded_bars
from stocklib.errors import DateRangeError, LedgerUnbalanced, OtherRelease, StreamError
from stocklib.finnhub import Finnhub
from stocklib.pipeline.ingest import produce
from stocklib.pipeline.reconcile import Balance, balance, record
from stocklib.pipeline.transform import rebuild
from stocklib.report import write_report
from stocklib.sessions import NEW_YORK, previous_session, session
from stocklib.settings import MADE_BARS, Settings, project_root, read_settings
from stocklib.warehouse import open_warehouse
from workbench import embedded, runner
from workbench.demo.remaining import Say, Steps, shown_steps
from workbench.supervisor import Plan
from workbench.supervisor.children import Child

# The default session.
DAYS = {"recorded": date(2012, 12, 14), "today": made_market.LAST}
# Quotes between two lines of progress.
_REPORT_QUOTES = 5000
ANALYSES = ("market_overview", "candlesticks", "moving_averages", "backtests")


def make_market() -> None:
    """Make this process and its children run the demo over ten companies of today's size."""
    home = Path(os.environ.get("STOCKS_DEMO_HOME") or project_root() / ".stocks" / "demo-today").resolve()
    os.environ["STOCKS_DEMO_HOME"] = str(home)
    made_market.write((home / MADE_BARS).parent)


def run_demo(*, day: date, say: Say) -> Path:
    """Run everything for the recorded session of ``day`` and return the report's path."""
    settings = read_settings(demo=True)
    symbols = _symbols_of(settings, day)
    say(f"The demo's home is {settings.home}; only reports/ is written elsewhere.")
    try:
        with shown_steps(say) as steps:
            executed, books, report = _run_steps(steps, day, symbols)
    finally:
        say("Stopping the embedded servers …")
        embedded.down(settings)
    _say_where(say, settings, executed, report, seconds=steps.seconds)
    say(f"And {books}.")
    return report


def _run_steps(steps: Steps, day: date, symbols: list[str]) -> tuple[list[Path], Balance, Path]:
    say, settings = steps.say, read_settings(demo=True)
    with steps.step("Starting the embedded S3, Kafka and replay servers"):
        embedded.up(settings, on_progress=lambda text: say(f"    {text}"))
    settings = read_settings(demo=True)
    adopt_warehouse(settings, say)
    _set_clock(settings, day)
    last = previous_session(day).session_date
    with steps.step(f"Backfilling daily bars up to {last} (notebook backfill_ytd)"):
        given = {"end": last.isoformat(), "symbols": symbols}
        say(_indent(runner.run(settings, "backfill_ytd", given=given).result))
    if _is_final(settings, day, symbols):
        steps.skip(f"The session of {day} is already final: there is nothing to stream.")
    else:
        with steps.step(f"Streaming the session of {day}, a virtual second a quote: replay → Kafka → S3") as advance:
            _stream(settings, symbols, say, lambda quotes: advance(quotes / _quotes_of(day)))
    with steps.step("Loading, transforming, testing, publishing (notebook realtime_load)"):
        say(_indent(runner.run(settings, "realtime_load").result))
    with steps.step(f"Executing {len(ANALYSES)} analysis notebooks") as advance:
        executed = _execute_analyses(settings, say, advance)
    with steps.step("Counting every quote, from the producer's confirmation to silver"):
        books = _check_books(settings)
    with steps.step("Writing the report"):
        report = write_report(settings)
    return executed, books, report


def adopt_warehouse(settings: Settings, say: Say) -> None:
    """Rebuild the warehouse of another release from the lake; one of this release stays as it is."""
    try:
        open_warehouse(settings).initialise()
    except OtherRelease:
        say("Another release made this warehouse: rebuilding it from the lake …")
        say(_indent(str(rebuild(settings))))


def _symbols_of(settings: Settings, day: date) -> list[str]:
    bars = read_bars(settings.replay_bars) if settings.replay_bars else recorded_bars()
    symbols = sorted(bars.loc[bars["date"] == day, "symbol"])
    if not symbols:
        first, last = bars["date"].min(), bars["date"].max()
        raise DateRangeError(f"no session of {day} is recorded: choose a trading day from {first} to {last}")
    return symbols


def _set_clock(settings: Settings, day: date) -> None:
    """Set the replay's clock to a minute before the opening bell of the day."""
    bell = datetime.combine(day, clock_time(9, 30), NEW_YORK)
    with Finnhub(settings) as finnhub:
        finnhub.set_clock(bell - timedelta(minutes=1))


def _is_final(settings: Settings, day: date, symbols: list[str]) -> bool:
    """Return whether the bar of every symbol on this date is published and final."""
    warehouse = open_warehouse(settings)
    if warehouse.published_build() is None:
        return False
    frame = warehouse.query(
        "select count(*) as bars from gold.fact_daily_stock_quotes where quote_date = ? and is_final",
        (day,),
    )
    return int(frame["bars"].iloc[0]) == len(symbols)


def _quotes_of(day: date) -> int:
    """Return about how many quotes a session has: one each virtual second."""
    found = session(day)
    return int((found.close - found.open).total_seconds()) if found else 1


def _stream(settings: Settings, symbols: list[str], say: Say, on_quotes: Callable[[int], None]) -> None:
    """Produce and land in parallel, until everything that was confirmed has landed."""
    consumer = Child("consumer", settings, Plan(land_seconds=settings.batch_max_seconds))
    said = 0

    def advance(done: int, total: int | None = None, text: str = "") -> None:
        nonlocal said
        consumer.ensure_running()
        on_quotes(done)
        if done - said >= _REPORT_QUOTES:
            said = done
            say(f"    {done:,} quotes  {text}")

    consumer.ensure_running()
    try:
        produced = produce(settings, until_close=True, symbols=symbols, on_progress=advance)
        say(_indent(str(produced)))
    finally:
        failure = consumer.finish()
    if failure:
        raise StreamError(f"{failure}. What was confirmed is in Kafka: run the demo again")


def _execute_analyses(settings: Settings, say: Say, advance: Callable[[float], None]) -> list[Path]:
    """Run the notebooks, two at a time; name each as it ends."""
    found = []
    with runner.kernel_environment(settings), ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(runner.run, settings, name) for name in ANALYSES]
        waiting = set(runs)
        try:
            while waiting:
                # with a timeout: the system may give Ctrl-C to another thread, and only this one can handle it
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for one in done:
                    path = one.result().path
                    found.append(path)
                    say(f"    {path.stem}  ({len(found)} of {len(ANALYSES)})")
                    advance(len(found) / len(ANALYSES))
        except BaseException:
            # Ctrl-C too: the threads would wait for their notebooks' ends
            pool.shutdown(wait=False, cancel_futures=True)
            # again and again: a thread may be about to start its kernel
            while not all(one.done() for one in runs):
                _end_kernels()
                time.sleep(0.1)
            raise
    return found


def _end_kernels() -> None:
    # that the kernels died is no news
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "ipykernel_launcher" in child.cmdline():
                child.kill()


def _check_books(settings: Settings) -> Balance:
    """Check the ledger of everything that the demo's home ever streamed."""
    books = record(settings, balance(settings))
    if books.exit_status:
        wrong = [str(problem) for problem in books.problems]
        wrong += [f"not checked: {hop}: {reason}" for hop, reason in books.unchecked.items()]
        raise LedgerUnbalanced("\n".join([str(books), *wrong]))
    return books


def _say_where(say: Say, settings: Settings, executed: list[Path], report: Path, *, seconds: float) -> None:
    say(f"\nDone in {seconds:.0f} seconds. The results:\n")
    say(f"    the report           {report}")
    say(f"    executed notebooks   {executed[0].parent.parent}")
    say(f"    the warehouse        {settings.home / 'warehouse' / 'published.duckdb'}")
    say("\nNext: open the report in a browser; `make lab` for the notebooks; or ask the published tables:\n")
    query = '.venv/bin/stocks --demo query "select * from gold.gold_kpi"'
    say(f"    STOCKS_DEMO_HOME={settings.home} {query}\n" if settings.replay_data else f"    {query}\n")


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
