"""When to ask for quotes: the market's hours by the source, with the trading calendar as fallback.

The source says whether the market is open; the calendar says when that may change, when a close has settled, and when
the next bell is. All in the source's time. In a session the source is asked once a minute and at the bells; between
sessions, when nothing can change, once an hour, so that its clock stays known; a replay once a minute of its time,
since another process may move its clock. Where it contradicts the calendar at a bell, it is asked again in seconds.
"""

import logging
from datetime import date, datetime, timedelta

from stocklib.errors import BadAnswer, PlanRefused, RateLimited, SourceUnavailable
from stocklib.finnhub import Finnhub
from stocklib.sessions import is_open, last_finished_session, new_york_date, next_session, session

log = logging.getLogger(__name__)

# The market status is asked for at most this often, except when it may change; the second is between sessions.
_STATUS_SECONDS, _IDLE_SECONDS = 60.0, 3600.0
# A source that is still closed at the opening bell is asked again after so long, then after doubled pauses.
_FIRST_DOUBT = 2.0


class MarketHours:
    """The market's hours as one run of the producer knows them. ``settle`` is ``CLOSE_SETTLE_SECONDS``.

    ``settled`` is the last session that needs no further round.
    """

    def __init__(self, finnhub: Finnhub, *, settle: float) -> None:
        self._finnhub = finnhub
        self._settle = timedelta(seconds=settle)
        # the source's last answer; None before the first
        self.was_open: bool | None = None
        self._asked: datetime | None = None
        # for how long that answer is valid
        self._holds = timedelta()
        # the last session that ``take_due_session`` returned, and the last that it returned after the close had settled
        self._taken: date | None = None
        self.settled: date | None = None

    def refresh_is_open(self) -> bool:
        """Return whether the regular session is on: ask the source where its last answer is old; else the calendar."""
        now = self._finnhub.now()
        if self._asked is None or self._is_old(self._asked, now):
            try:
                now_open = self._finnhub.market_status().is_open
            except (BadAnswer, PlanRefused, RateLimited, SourceUnavailable) as error:
                log.warning("%s; going by the trading calendar", error)
                now_open = is_open(self._finnhub.now())
            self.was_open = now_open
            self._asked = self._finnhub.now()
            self._holds = self._how_long(self._asked)
        return bool(self.was_open)

    def take_due_session(self) -> date | None:
        """Return a session whose last prices are due: once after its close, and once more when that has settled."""
        now = self._finnhub.now()
        today = session(new_york_date(now))
        if today is not None and now < today.close:
            return None
        over = last_finished_session(now)
        ripe = now >= over.close + self._settle
        if self.settled == over.session_date or (self._taken == over.session_date and not ripe):
            return None
        self._taken = over.session_date
        self.settled = over.session_date if ripe else self.settled
        return over.session_date

    def until_next(self) -> tuple[float, datetime]:
        """Return seconds until something can change, a minute at most, and the next opening bell."""
        now = self._finnhub.now()
        today = session(new_york_date(now))
        bell = today.open if today is not None and now < today.open else next_session(new_york_date(now)).open
        moments = [bell, now + timedelta(seconds=_STATUS_SECONDS)]
        if self._asked is not None:
            moments.append(self._asked + self._holds)
        if self._taken is not None and self._taken != self.settled:
            moments.append(last_finished_session(now).close + self._settle)
        seconds = (min(moment for moment in moments if moment > now) - now).total_seconds()
        return seconds, bell

    def _is_old(self, asked: datetime, now: datetime) -> bool:
        if now - asked >= self._holds or now < asked or self._finnhub.clock.is_lost:
            return True
        today = session(new_york_date(now))
        return today is not None and any(asked < bell <= now for bell in (today.open, today.close))

    def _how_long(self, now: datetime) -> timedelta:
        """Return for how long the source's answer about the market is valid."""
        today = session(new_york_date(now))
        seconds = _STATUS_SECONDS
        if not self.was_open and today is not None and today.contains(now):
            # the calendar says open: the source may be late, or closed for a reason of its own
            seconds = min(seconds, max(_FIRST_DOUBT, (now - today.open).total_seconds()))
        elif not self.was_open and self._finnhub.source != "replay":
            seconds = _IDLE_SECONDS
        return timedelta(seconds=seconds)
