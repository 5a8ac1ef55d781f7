"""When to ask for quotes: the market's hours as the source tells them, backed by the trading calendar.

The source says whether the market is open; the calendar says when that may change, when a close has settled, and when
the next bell is. All in the source's time.
"""

import logging
from datetime import date, datetime, timedelta

from stocklib.errors import BadAnswer, PlanRefused, RateLimited, SourceUnavailable
from stocklib.finnhub import Finnhub
from stocklib.sessions import is_open, last_finished_session, new_york_date, next_session, session

log = logging.getLogger(__name__)

# The market status is asked for at most this often, but for the moments at which it changes.
_STATUS_SECONDS = 60.0


class MarketHours:
    """What one run of the producer knows of the market's hours. ``settle`` is ``CLOSE_SETTLE_SECONDS``."""

    def __init__(self, finnhub: Finnhub, *, settle: float) -> None:
        self._finnhub = finnhub
        self._settle = timedelta(seconds=settle)
        # what was last heard; None before anything was
        self.was_open: bool | None = None
        self._asked: datetime | None = None
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
                now_open = is_open(now)
            self.was_open = now_open
            self._asked = self._finnhub.now()
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
        if self._heard is not None and self._heard != self._settled:
            moments.append(last_finished_session(now).close + self._settle)
        seconds = (min(moment for moment in moments if moment > now) - now).total_seconds()
        return seconds, bell

    def _is_old(self, asked: datetime, now: datetime) -> bool:
        if (now - asked).total_seconds() >= _STATUS_SECONDS or now < asked:
            return True
        today = session(new_york_date(now))
        return today is not None and any(asked < bell <= now for bell in (today.open, today.close))
