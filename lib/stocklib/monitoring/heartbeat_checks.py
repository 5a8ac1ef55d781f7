"""Which heartbeats are alarms, and which are only remarks. Pure: heartbeats and a moment in, sentences out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from stocklib.monitoring.heartbeat import Beat
from stocklib.quotes import from_epoch
from stocklib.sessions import NEW_YORK, Session, new_york_date, next_session, session

# How long a living process may write no heartbeat, and how long a deliberate stop in a session may last.
_SILENCE, _STOPPED = 60.0, 120.0
# In a session, quotes or trades come at least this often, or every third round where rounds are longer.
_OVERDUE, _ROUNDS = 120.0, 3
# A process may be busy for so many seconds of this machine's time while a replay's time runs on.
_SLACK = 15.0
# A source of which no price moved for so long stands still.
_FROZEN = timedelta(minutes=30)
# An outage that a process waits for is an alarm after so long.
_OUTAGE = 30.0

_FEEDS = ("producer", "trades")

Finding = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment of a check: ``now`` on the source's clock (None where unknown), ``wall`` on this machine's."""

    now: datetime | None
    wall: float

    @property
    def session(self) -> Session | None:
        """The source's current session; None while it is closed."""
        return session_at(self.now)


def session_at(instant: datetime | None) -> Session | None:
    """Return the session that contains an instant, if any."""
    found = session(new_york_date(instant)) if instant else None
    return found if found and instant and found.contains(instant) else None


def check_heartbeat(beat: Beat, beats: list[Beat], moment: Moment) -> Finding:
    """Return the alarm and the remark, if any, about a heartbeat among ``beats``."""
    if deleted := beat.facts.get("deleted"):
        # this alarm stays until the next run of its kind
        what = ", ".join(map(str, deleted[:5]))
        return (
            f"Kafka had deleted messages before they were read ({what}): see `stocks ledger`, and the topic's "
            "retention (retention.ms=-1 keeps everything)"
        ), None
    if not beat.is_alive:
        return _ended(beat, beats, moment)
    return _silence(beat, moment) or _outage(beat, moment) or (_overdue(beat, moment), None)


def _overdue(beat: Beat, moment: Moment) -> str | None:
    """Return the alarm about a living feed that brings nothing, or nothing new, while the market is open."""
    facts, today = beat.facts, moment.session
    if not facts.get("clock") or today is None or moment.now is None or facts.get("market_open") is False:
        return None
    pace = facts["clock"]
    slack = 0.0 if pace["step"] else _SLACK * pace["speed"]
    patience = timedelta(seconds=max(_OVERDUE, _ROUNDS * float(facts.get("round_seconds") or 0), slack))
    event, market = _instant(facts.get("last_event_at")), _instant(facts.get("last_market_at"))
    since = max(event or today.open, today.open)
    begun = event is None and moment.wall - float(facts.get("began_at") or 0) < _OVERDUE
    if moment.now - since > patience and not begun:
        return (
            f"nothing has come since {_clock(since)}, and the market is open: check what the source answers "
            f"(stocks doctor) and the process's log ({beat.state})"
        )
    if market and moment.now - max(market, today.open) > max(_FROZEN, patience):
        return f"the source answers, but no price has moved since {_clock(market)}, and the market is open"
    return None


def _ended(beat: Beat, beats: list[Beat], moment: Moment) -> Finding:
    clock = beat.facts.get("clock")
    if beat.ended == "stopped" and clock and moment.session and moment.wall - beat.at > _STOPPED:
        return "it was stopped, and the market is open: start it again", None
    if beat.ended in ("done", "stopped"):
        return None, None
    how = "ended by an error" if beat.ended else "ended without a last heartbeat (killed?)"
    if clock:
        return _died(how, beat, moment, from_epoch(clock["now"]))
    if beat.kind in _FEEDS:
        # before its source answered
        if moment.session:
            return f"{how} before it began, and the market is open: start it again ({beat.state})", None
        return None, f"{how} before it began: start it again ({beat.state})"
    if any(other.kind == beat.kind and other.is_alive for other in beats):
        return None, f"{how}; another {beat.kind} goes on"
    if moment.session:
        return f"{how}, and the market is open: start it again; nothing is lost, it goes on where it was", None
    return None, f"{how}; nothing is lost, the next one goes on where it was"


def _died(how: str, beat: Beat, moment: Moment, last: datetime) -> Finding:
    # the source may be closed when the calendar says open
    last_session = session_at(last) if beat.facts.get("market_open") is not False else None
    if last_session:
        return f"{how} at {_clock(last)}, in the session of {last_session.session_date}: start it again", None
    if moment.session:
        return f"{how} at {_clock(last)}, and the market is open now: start it again", None
    return None, f"{how} while the market was closed; start it before {_clock(_next_bell(moment.now or last))}"


def _outage(beat: Beat, moment: Moment) -> Finding | None:
    """Return what it waits for, on any day: a short wait is a remark."""
    trouble, since = beat.facts.get("trouble"), beat.facts.get("trouble_since")
    if not (trouble and since):
        return None
    if moment.wall - since > _OUTAGE:
        return f"it has tried for {moment.wall - since:.0f} s, and goes on trying: {trouble}", None
    return None, trouble


def _silence(beat: Beat, moment: Moment) -> Finding | None:
    seconds = moment.wall - beat.at
    if seconds <= float(beat.facts.get("patience") or _SILENCE):
        return None
    text = f"pid {beat.pid} runs and has written no heartbeat for {seconds:.0f} s: it hangs or is suspended"
    return (text, None) if moment.session else (None, text)


def _next_bell(instant: datetime) -> datetime:
    today = session(new_york_date(instant))
    return today.open if today and instant < today.open else next_session(new_york_date(instant)).open


def _instant(epoch: float | None) -> datetime | None:
    return from_epoch(epoch) if epoch else None


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M:%S} New York"
