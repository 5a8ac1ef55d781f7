"""One trading day without Airflow: wait for the close, fetch what is missing, load, transform, write the report.

Each step repeats without harm, so a day may run twice, late, or after days on which nothing ran. ``schedule`` returns
the text that makes cron, systemd or launchd run it.
"""

import plistlib
import shlex
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path

from stocklib import report
from stocklib.clocks import Stop
from stocklib.errors import Interrupted
from stocklib.pipeline.history import backfill, open_history
from stocklib.pipeline.history.daily_history import Progress
from stocklib.pipeline.loading import load
from stocklib.pipeline.transform import transform
from stocklib.sessions import NEW_YORK, last_finished_session, new_york_date, session
from stocklib.settings import Settings
from workbench import embedded

Say = Callable[[str], None]

_LOOK_SECONDS = 30.0
# So far back in January, and before an earlier year's session: a backfill begins at 1 January by default.
_REACH = timedelta(days=31)
_LABEL = "org.stocks-workbench.day"


def run_day(
    settings: Settings,
    *,
    day: date | None = None,
    wait: bool = True,
    stop: Stop,
    say: Say,
    on_progress: Progress | None = None,
) -> list[str]:
    """Fetch, load, transform and report up to a session; return what went wrong with single symbols or objects.

    ``day`` is by default the last session that is final. During a session, and until it has settled, that is today's:
    with ``wait`` this waits for it, without, the session before counts. In a replay nothing waits. Raise
    ``Interrupted`` when ``stop`` is set during the wait, and the error of a step that fails as a whole.
    """
    with embedded.running(settings, on_progress=say) as ready:
        with open_history(ready) as source:
            settle = timedelta(seconds=ready.close_settle_seconds)
            if wait and day is None and source.source != "replay":
                wait_for_close(source.now, settle=settle, stop=stop, say=say)
            last = day or last_finished_session(source.now(), settle=settle).session_date
            is_in_reach = last.month > 1 and last.year == new_york_date(source.now()).year
        say(f"the session of {last}")
        fetched = backfill(ready, start=None if is_in_reach else last - _REACH, end=last, on_progress=on_progress)
        say(str(fetched))
        loaded = load(ready)
        say(str(loaded))
        say(str(transform(ready)))
        say(str(report.write_report(ready, day=day)))
    return [*(f"{symbol}: {why}" for symbol, why in fetched.failed.items()), *loaded.corrupt]


def wait_for_close(now: Callable[[], datetime], *, settle: timedelta, stop: Stop, say: Say) -> None:
    """Wait, where a session is on or has not settled, until it has; ``Interrupted`` when ``stop`` is set before."""
    began = now()
    today = session(new_york_date(began))
    if today is None or not today.open <= began < today.close + settle:
        return
    due = today.close + settle
    say(f"the session of {today.session_date} is final at {due.astimezone(NEW_YORK):%H:%M} New York: waiting")
    while (left := (due - now()).total_seconds()) > 0:
        if stop.wait(min(left, _LOOK_SECONDS)):
            raise Interrupted(f"stopped before the session of {today.session_date} was final")


def schedule(
    kind: str, *, root: Path, home: Path, at: time, demo: bool = False, here: tzinfo | None = None, now: datetime
) -> str:
    """Return the entry for cron, the two units for systemd, or the property list for launchd.

    ``at`` is New York's time, on its weekdays. cron and launchd know only this machine's zone ``here``: where its
    clocks change on other dates than New York's, they run an hour off for some weeks.
    """
    program, log = root / ".venv" / "bin" / "stocks", home / "logs" / "day.log"
    verb = ["--demo", "day"] if demo else ["day"]
    if kind == "systemd":
        return _systemd(program, verb, root, at)
    new_york = datetime.combine(now.astimezone(NEW_YORK).date(), at, NEW_YORK)
    local = new_york.astimezone(here)
    days = [(1 + number + (local.date() - new_york.date()).days) % 7 for number in range(5)]
    if kind == "launchd":
        return _launchd([str(program), *verb], root, log, [(day, local.hour, local.minute) for day in days])
    folder, logs, run, output = (shlex.quote(str(path)) for path in (root, log.parent, program, log))
    # in a crontab % ends the command
    line = f"cd {folder} && mkdir -p {logs} && {run} {' '.join(verb)} >> {output} 2>&1".replace("%", "\\%")
    return (
        f"# {at:%H:%M} New York, Monday to Friday, is {local:%H:%M %Z} here. Add this line with crontab -e\n"
        f"{local.minute} {local.hour} * * {','.join(map(str, sorted(days)))} {line}\n"
    )


def _systemd(program: Path, verb: list[str], root: Path, at: time) -> str:
    def quoted(path: Path) -> str:
        escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        return f'"{escaped}"'

    return f"""\
# ~/.config/systemd/user/stocks-day.service
[Unit]
Description=Stocks workbench: fetch, load, transform and report a trading day
[Service]
Type=oneshot
WorkingDirectory={str(root).replace("%", "%%")}
ExecStart={quoted(program)} {" ".join(verb)}

# ~/.config/systemd/user/stocks-day.timer; then: systemctl --user enable --now stocks-day.timer
[Unit]
Description=Stocks workbench: each weekday at {at:%H:%M} New York
[Timer]
OnCalendar=Mon..Fri {at:%H:%M} America/New_York
Persistent=true
[Install]
WantedBy=timers.target
"""


def _launchd(command: list[str], root: Path, log: Path, times: list[tuple[int, int, int]]) -> str:
    entry = {
        "Label": _LABEL,
        "ProgramArguments": command,
        "WorkingDirectory": str(root),
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
        "StartCalendarInterval": [{"Weekday": day, "Hour": hour, "Minute": minute} for day, hour, minute in times],
    }
    return plistlib.dumps(entry).decode()
