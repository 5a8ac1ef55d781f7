"""When to ask for quotes: the market's hours as the source tells them, backed by the trading calendar.

The source says whether the market is open; the calendar says when that may change, when a close has settled, and when
the next bell is. All in the source's time. In a session the source is asked once a minute and at the bells; between
sessions, when nothing can change, once an hour, so that its clock stays known; a replay once a minute of its time,
since somebody may move its clock. Where it contradicts the calendar at a bell, it is asked again within seconds.
"""

import logging
from datetime import date, datetime, timedelta

from stocklib.errors import BadAnswer, PlanRefused, RateLimited, SourceUnavailable
from stocklib.finnhub import Finnhub
from stocklib.sessions import is_open, last_finished_session, new_york_date, next_session, session

log = logging.getLogger(__name__)

# The market status is asked for at most this often, but for the moments at which it changes; and between sessions.
_STATUS_SECONDS, _IDLE_SECONDS = 60.0, 3600.0
# A source that has not heard the opening bell when we have is asked again after so long, then twice as long each time.
_FIRST_DOUBT = 2.0


class MarketHours:
    """What one run of the producer knows of the market's hours. ``settle`` is ``CLOSE_SETTLE_SECONDS``."""

    def __init__(self, finnhub: Finnhub, *, settle: float) -> None:
        self._finnhub = finnhub
        self._settle = timedelta(seconds=settle)
        # what was last heard; None before anything was
        self.was_open: bool | None = None
        self._asked: datetime | None = None
        # for how long that is taken for true
        self._holds = timedelta()
        # the session whose close was heard, and the one whose close was heard after it had settled
        self._heard: date | None = None
        self._settled: date | None = None

    def is_open(self) -> bool:
        """Whether the regular session is on, as the source says; as the calendar does where it says nothing."""
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

    def closing(self) -> date | None:
        """The session whose last prices are to be asked for now: one after its close, and again once that settled."""
        now = self._finnhub.now()
        today = session(new_york_date(now))
        if today is not None and now < today.close:
            return None
        over = last_finished_session(now)
        ripe = now >= over.close + self._settle
        if self._settled == over.session_date or (self._heard == over.session_date and not ripe):
            return None
        self._heard = over.session_date
        self._settled = over.session_date if ripe else self._settled
        return over.session_date

    @property
    def settled(self) -> date | None:
        """The last session that needs no further round."""
        return self._settled

    def until_next(self) -> tuple[float, datetime]:
        """Seconds until something can change, a minute at most, and the next opening bell."""
        now = self._finnhub.now()
        today = session(new_york_date(now))
        bell = today.open if today is not None and now < today.open else next_session(new_york_date(now)).open
        moments = [bell, now + timedelta(seconds=_STATUS_SECONDS)]
        if self._asked is not None:
            moments.append(self._asked + self._holds)
        if self._heard is not None and self._heard != self._settled:
            moments.append(last_finished_session(now).close + self._settle)
        seconds = (min(moment for moment in moments if moment > now) - now).total_seconds()
        return seconds, bell

    def _is_old(self, asked: datetime, now: datetime) -> bool:
        if now - asked >= self._holds or now < asked or self._finnhub.is_clock_lost:
            return True
        today = session(new_york_date(now))
        return today is not None and any(asked < bell <= now for bell in (today.open, today.close))

    def _how_long(self, now: datetime) -> timedelta:
        """For how long what the source just said of the market is taken for true."""
        today = session(new_york_date(now))
        seconds = _STATUS_SECONDS
        if not self.was_open and today is not None and today.contains(now):
            # the calendar says open: the source may be a moment late, or shut for a reason of its own
            seconds = min(seconds, max(_FIRST_DOUBT, (now - today.open).total_seconds()))
        elif not self.was_open and self._finnhub.source != "replay":
            seconds = _IDLE_SECONDS
        return timedelta(seconds=seconds)
