"""The health of the running processes, from their heartbeats: state, age of the newest event, and alarms.

Events are compared with the source's time: a feed that is silent while the market is open there is an alarm, and one
that is silent on the source's Sunday is not. Heartbeats are compared with this machine's time.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from stocklib.errors import SettingsError
from stocklib.finnhub import replay_now
from stocklib.finnhub.rest import is_on_this_machine
from stocklib.monitoring.heartbeat import Beat, damaged_heartbeats, read_heartbeats
from stocklib.monitoring.heartbeat_checks import Moment, check_heartbeat
from stocklib.quotes import from_epoch
from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings


@dataclass(frozen=True, slots=True)
class Condition:
    """One process: ``age`` is that of its newest event, in seconds on the source's clock, None where that is unknown.

    ``alarm`` says what is wrong and what to do; ``remark`` is information only.
    """

    role: str
    run_id: str
    pid: int
    is_alive: bool
    state: str
    last_event: datetime | None
    age: float | None
    per_second: float
    lag: int | None
    errors: int
    metrics: str | None
    alarm: str | None
    remark: str | None

    def __str__(self) -> str:
        event = (
            f"last event {self.last_event.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M:%S} New York"
            if self.last_event
            else ""
        )
        facts = [
            self.state,
            event + (f" ({_span(self.age)} ago)" if event and self.age is not None else ""),
            f"{self.per_second * 60:,.0f} a minute" if self.is_alive else "",
            f"lag {self.lag:,}" if self.lag is not None else "",
            f"{self.errors:,} errors" if self.errors else "",
            f"pid {self.pid}" if self.is_alive else "",
            self.remark or "",
        ]
        return f"{self.role:<14} {'alive' if self.is_alive else 'ended':<6} " + "; ".join(
            fact for fact in facts if fact
        )


@dataclass(frozen=True, slots=True)
class Health:
    """Every process of a home, and the source's time: None where it is unknown.

    ``damaged`` names the unreadable heartbeats, whose processes have an unknown state.
    """

    source_now: datetime | None
    market_open: bool | None
    processes: tuple[Condition, ...]
    damaged: tuple[str, ...] = ()

    @property
    def alarms(self) -> list[str]:
        """Return what is wrong, one sentence each."""
        wrong = [f"{process.role}: {process.alarm}" for process in self.processes if process.alarm]
        return [*wrong, *(f"a heartbeat is damaged: {reason}" for reason in self.damaged)]


def examine(settings: Settings) -> Health:
    """Return the health of this home's processes; it makes no call of a plan and needs no server."""
    beats = read_heartbeats(settings.home)
    wall = time.time()
    now = _source_now(settings, beats, wall=wall)
    moment = Moment(now=now, wall=wall)
    return Health(
        source_now=now,
        market_open=moment.session is not None if now else None,
        processes=tuple(_condition(beat, beats, moment) for beat in beats),
        damaged=tuple(str(error) for error in damaged_heartbeats(settings.home)),
    )


def _condition(beat: Beat, beats: list[Beat], moment: Moment) -> Condition:
    alarm, remark = check_heartbeat(beat, beats, moment)
    event = beat.facts.get("last_event_at")
    last = from_epoch(event) if event else None
    return Condition(
        role=beat.role,
        run_id=beat.run_id,
        pid=beat.pid,
        is_alive=beat.is_alive,
        state=beat.state,
        last_event=last,
        age=max(0.0, (moment.now - last).total_seconds()) if last and moment.now else None,
        per_second=float(beat.facts.get("per_second") or 0) if beat.is_alive else 0.0,
        lag=beat.facts.get("lag"),
        errors=int(beat.facts.get("errors") or 0),
        metrics=beat.facts.get("metrics") if beat.is_alive else None,
        alarm=alarm,
        remark=remark,
    )


def _source_now(settings: Settings, beats: list[Beat], *, wall: float) -> datetime | None:
    """Return the source's time: from the replay or a living feed; for a live source this machine's."""
    feeds = sorted((beat for beat in beats if beat.facts.get("clock")), key=lambda beat: beat.at)
    if not feeds:
        return None if is_on_this_machine(settings) else from_epoch(wall)
    newest = feeds[-1]
    source_time = float(newest.facts["clock"]["now"])
    if newest.facts.get("source") != "replay":
        return from_epoch(source_time + wall - newest.at)
    try:
        asked = replay_now(settings)
    except SettingsError:
        asked = None
    return asked or (from_epoch(source_time) if newest.is_alive else None)


def _span(seconds: float | None) -> str:
    """
    >>> _span(42), _span(600), _span(7200), _span(200_000)
    ('42 s', '10 min', '2.0 h', '2.3 days')
    """
    seconds = seconds or 0.0
    for size, name, digits in ((86_400, "days", 1), (3600, "h", 1)):
        if seconds >= size:
            return f"{seconds / size:.{digits}f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
