"""``stocks day``: one trading day without Airflow, safe to repeat; and the entries that make a scheduler run it."""

import plistlib
import shutil
import subprocess
import threading
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from mirrors import ROOT as REPOSITORY
from misbehaving import serving
from small_finnhub import DAYS, Market

from stocklib import market
from stocklib.errors import Interrupted
from stocklib.sessions import NEW_YORK
from stocklib.settings import read_settings
from workbench.cli import main
from workbench.day import run_day, schedule, wait_for_close

ROOT, HOME = Path("/data/my 100% bench"), Path("/data/my 100% bench/.stocks")
WINTER = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.stack
def test_a_day_fetches_loads_publishes_and_reports_and_a_second_run_changes_nothing(
    service_environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols = tmp_path / "symbols.json"
    symbols.write_text('{"symbols": ["AAPL", "MSFT"]}')
    # a project of its own, for its reports
    for folder in ("dbt_stocks", "config"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    monkeypatch.chdir(tmp_path)
    # the session is of an earlier year than the source's clock
    clock = datetime(2013, 2, 1, 14, tzinfo=UTC)
    with serving(Market(now=clock, missing={"MSFT": {DAYS[-1]}})) as server:
        settings = read_settings(
            environ={
                **service_environ,
                "FINNHUB_API_KEY": "a-key",
                "FINNHUB_BASE_URL": f"{server.url}/api/v1",
                "FINNHUB_CALLS_PER_MINUTE": "0",
                "FINNHUB_CALLS_PER_SECOND": "0",
                "STOCKS_WATCHLIST": str(symbols),
                "CLOSE_SETTLE_SECONDS": "0",
            }
        )
        said: list[str] = []
        assert run_day(settings, day=DAYS[-2], stop=threading.Event(), say=said.append) == []
        assert (tmp_path / "reports" / f"market-{DAYS[-2]}.html").stat().st_size > 1e6
        bars = market.prices(settings=settings)
        assert bars["date"].max().date() == DAYS[-2]
        assert bars["date"].min().date() == date(2012, 11, 12)
        assert sorted(bars["symbol"].unique()) == ["AAPL", "MSFT"]
        said.clear()
        run_day(settings, day=DAYS[-2], stop=threading.Event(), say=said.append)
        assert "nothing new in the lake" in said
        assert "nothing new to transform; the published tables are up to date" in said
        assert market.prices(settings=settings).equals(bars)


class Clock:
    """A time that passes only while the code under test waits."""

    def __init__(self, now: datetime, *, ends_after: timedelta = timedelta(days=9)) -> None:
        self.at = now
        self._end = now + ends_after

    def now(self) -> datetime:
        return self.at

    def is_set(self) -> bool:
        return self.at >= self._end

    def wait(self, timeout: float) -> bool:
        self.at += timedelta(seconds=timeout)
        return self.is_set()


def new_york(day: date, at: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(at), NEW_YORK)


@pytest.mark.parametrize(
    ("day", "begun", "until"),
    [
        (date(2026, 11, 25), "09:30", "16:10"),
        (date(2026, 11, 25), "16:09:59", "16:10"),
        # a half day
        (date(2026, 11, 27), "12:59", "13:10"),
        # before the bell, after the close has settled, Thanksgiving, a Saturday
        (date(2026, 11, 25), "09:29:59", "09:29:59"),
        (date(2026, 11, 25), "16:10", "16:10"),
        (date(2026, 11, 26), "12:00", "12:00"),
        (date(2026, 11, 28), "12:00", "12:00"),
    ],
)
def test_a_session_that_is_on_is_waited_for_and_nothing_else(day: date, begun: str, until: str) -> None:
    clock = Clock(new_york(day, begun).astimezone(UTC))
    wait_for_close(clock.now, settle=timedelta(minutes=10), stop=clock, say=print)
    assert clock.at == new_york(day, until)


def test_a_stop_ends_the_wait() -> None:
    clock = Clock(new_york(date(2026, 11, 25), "10:00"), ends_after=timedelta(minutes=5))
    with pytest.raises(Interrupted, match="before the session of 2026-11-25 was final"):
        wait_for_close(clock.now, settle=timedelta(0), stop=clock, say=print)


@pytest.mark.parametrize(
    ("zone", "now", "entry"),
    [
        ("America/New_York", WINTER, "15 18 * * 1,2,3,4,5 "),
        ("Europe/Berlin", WINTER, "15 0 * * 2,3,4,5,6 "),
        ("Asia/Tokyo", WINTER, "15 8 * * 2,3,4,5,6 "),
        ("America/Los_Angeles", WINTER, "15 15 * * 1,2,3,4,5 "),
        # the three weeks in which New York has summer time and Berlin has not
        ("Europe/Berlin", datetime(2026, 3, 20, 12, tzinfo=UTC), "15 23 * * 1,2,3,4,5 "),
    ],
)
def test_cron_and_launchd_run_at_new_yorks_time_whatever_the_machines_zone(
    zone: str, now: datetime, entry: str
) -> None:
    made = {
        kind: schedule(kind, root=ROOT, home=HOME, at=time(18, 15), here=ZoneInfo(zone), now=now)
        for kind in ("cron", "launchd")
    }
    line = made["cron"].splitlines()[1]
    assert line.startswith(entry)
    # cron ends a command at a bare %, and the shell splits at a space
    assert "%" not in line.replace("\\%", "")
    assert "cd '/data/my 100\\% bench' && " in line
    minute, hour, _, _, days, _ = line.split(" ", 5)
    times = plistlib.loads(made["launchd"].encode())["StartCalendarInterval"]
    assert [f"{one['Weekday']}" for one in times] == days.split(",")
    assert {(one["Hour"], one["Minute"]) for one in times} == {(int(hour), int(minute))}


@pytest.mark.parametrize("kind", ["cron", "systemd", "launchd"])
def test_an_entry_of_a_demos_home_runs_the_demos_day(kind: str) -> None:
    demo, own = (schedule(kind, root=ROOT, home=HOME, at=time(18, 15), demo=demo, now=WINTER) for demo in (True, False))
    told = demo.replace("</string>\n\t\t<string>", " ")
    assert "--demo day" in told
    assert "--demo" not in own


def test_a_setting_that_only_the_environment_has_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main, ["schedule", "cron"], env={"STOCKS_HOME": str(tmp_path), "STOCKS_WATCHLIST": "crypto"}
    )
    assert done.exit_code == 0
    assert done.stderr == "the entry does not see the environment: put STOCKS_WATCHLIST, STOCKS_HOME into .env\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here, so its units were not verified")
def test_systemd_takes_the_two_units(tmp_path: Path) -> None:
    home = tmp_path / "my 100% bench"
    (home / ".venv" / "bin").mkdir(parents=True)
    program = home / ".venv" / "bin" / "stocks"
    program.touch(mode=0o755)
    text = schedule("systemd", root=home, home=home / ".stocks", at=time(18, 15), now=WINTER)
    service, timer = text.split("\n\n")
    units = [tmp_path / "stocks-day.service", tmp_path / "stocks-day.timer"]
    for unit, content in zip(units, (service, timer), strict=True):
        unit.write_text(content)
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (when,) = [line.partition("=")[2] for line in timer.splitlines() if line.startswith("OnCalendar=")]
    asked = ["systemd-analyze", "calendar", "--base-time=2026-11-27 12:00 UTC", when]
    shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert "Fri 2026-11-27 23:15:00 UTC" in shown
