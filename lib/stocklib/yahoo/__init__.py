"""Yahoo Finance through ``yfinance``: the second source of daily history, with Finnhub's functions and records.

One request a symbol brings its bars, splits and dividends together, from the first date asked for up to today, so that
each split that the prices were divided by is known with them. With ``auto_adjust=False`` Yahoo's prices and volume are
adjusted for splits and not for dividends: the basis of Finnhub's daily candles. yfinance is imported on first use, and
keeps its cache under ``STOCKS_HOME``.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from stocklib.clocks import Stop
from stocklib.errors import (
    BadAnswer,
    DateRangeError,
    Interrupted,
    ParameterError,
    RateLimited,
    SourceUnavailable,
    SymbolError,
)
from stocklib.host import extra
from stocklib.quotes import Candle, CompanyProfile, CorporateAction, SymbolMatch, check_symbol
from stocklib.rate_limit import RateLimit
from stocklib.sessions import new_york_date
from stocklib.settings import Settings
from stocklib.yahoo import frames
from stocklib.yahoo.frames import Answer

# A share class, not an exchange: Yahoo writes BRK-B, but VOD.L (London), 7203.T, AIR.F and ABC.V as others do.
_SHARE_CLASS = re.compile(r"([A-Z]+)\.([A-EG-K])")
_FRESH = timedelta(seconds=60)


class Yahoo:
    """A client of Yahoo Finance. Its clock is this machine's: yfinance does not show Yahoo's.

    ``session`` is for yfinance, which makes its own without one. ``stop`` interrupts the waits between retries.
    """

    source = "yfinance"
    data_source = "yfinance"

    def __init__(
        self,
        settings: Settings,
        *,
        stop: Stop | None = None,
        session: Any = None,
        attempts: int = 4,
        first_pause: float = 1.0,
    ) -> None:
        self._stop = stop or threading.Event()
        self._session = session
        self._cache: Path = settings.home / "yfinance"
        self._rate_limit = RateLimit(per_minute=60, per_second=2)
        self._last: Answer | None = None
        self._retrying = Retrying(
            retry=retry_if_exception_type((SourceUnavailable, RateLimited)),
            wait=wait_exponential_jitter(multiplier=first_pause, max=60, jitter=first_pause),
            stop=stop_after_attempt(attempts),
            sleep=self._pause,
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the last answer."""
        self._last = None

    def now(self) -> datetime:
        """The time now, UTC."""
        return datetime.now(UTC)

    def candles(self, symbol: str, resolution: str, start: date | datetime, end: date | datetime) -> list[Candle]:
        """Return the daily bars (resolution D) from ``start`` to ``end``, both included, split-adjusted.

        A bar without all four prices is left out and logged: Yahoo answers such rows for dates without data.
        """
        if resolution != "D":
            raise ParameterError(f"Yahoo's history is read in daily bars here: resolution D, not {resolution!r}")
        first, last = _day(start), _day(end)
        answer = self._ask(symbol, first, last)
        return [candle for candle in frames.read_candles(answer) if first <= candle.quote_date <= last]

    def splits(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """Return a symbol's splits from ``start`` to ``end``, after a record that they were asked for."""
        return self._actions(symbol, start, end, frames.read_splits, checked="checked")

    def dividends(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """Return a symbol's dividends from ``start`` to ``end`` as paid, after a record that they were asked for.

        Yahoo divides them by later splits; that is undone with the splits of the same answer.
        """
        return self._actions(symbol, start, end, frames.read_dividends, checked="checked_dividends")

    def profile(self, symbol: str) -> CompanyProfile:
        """Return the company of a symbol, in Finnhub's names (shares outstanding and market value in millions)."""
        symbol = check_symbol(symbol)
        info = self._retrying(self._call, symbol, lambda yfinance: dict(self._ticker(yfinance, symbol).info))
        if not info.get("longName") and not info.get("shortName"):
            raise SymbolError(f"Yahoo knows no company behind {symbol}: `stocks symbols search` finds its spelling")
        return CompanyProfile(symbol, frames.read_profile(symbol, info), self.now())

    def search(self, text: str) -> list[SymbolMatch]:
        """Return the symbols whose name or symbol matches a text, the best match first; empty when there are none."""

        def ask(yfinance: Any) -> list[SymbolMatch]:
            found = yfinance.Search(
                text, max_results=10, news_count=0, lists_count=0, session=self._session, timeout=10
            )
            return [frames.read_match(row) for row in found.quotes]

        matches: list[SymbolMatch] = self._retrying(self._call, text, ask)
        return matches

    def is_priced(self, symbol: str) -> bool:
        """Return whether Yahoo has a price for a symbol in the last ten days."""
        today = new_york_date(self.now())
        try:
            return bool(self.candles(symbol, "D", today - timedelta(days=10), today))
        except SymbolError:
            return False

    def _actions(
        self, symbol: str, start: date, end: date, read: frames.ReadActions, *, checked: str
    ) -> list[CorporateAction]:
        answer = self._ask(symbol, start, end)
        asked_to = min(end, new_york_date(answer.fetched_at))
        asking = CorporateAction(answer.symbol, checked, start, answer.fetched_at, checked_to=asked_to)
        return [asking, *(action for action in read(answer) if start <= action.action_date <= asked_to)]

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Interrupted("stopped while waiting for Yahoo to answer again")

    def _ask(self, symbol: str, start: date, end: date) -> Answer:
        symbol = check_symbol(symbol)
        if start > end:
            raise DateRangeError(f"history of {symbol}: the range from {start} to {end} is reversed")
        last = self._last
        if not (last and last.symbol == symbol and last.start <= start and self.now() - last.fetched_at < _FRESH):
            last = self._last = self._retrying(self._fetch, symbol, start)
        return last

    def _fetch(self, symbol: str, start: date) -> Answer:
        """Return everything from ``start`` to now; the end is in the future so that yfinance never uses its cache."""
        asked_at = self.now()
        end = new_york_date(asked_at) + timedelta(days=2)
        asked = {"start": start, "end": end, "auto_adjust": False, "actions": True, "timeout": 10}
        frame = self._call(symbol, lambda yfinance: self._ticker(yfinance, symbol).history(**asked))
        missing = {"Open", "High", "Low", "Close", "Volume", "Dividends", "Stock Splits"} - set(frame.columns)
        if missing and len(frame):
            raise BadAnswer(f"yfinance answered {symbol} without {', '.join(sorted(missing))}; nothing was stored")
        # a split applies from midnight in New York: an answer must not span it
        if new_york_date(asked_at) != new_york_date(self.now()):
            return self._fetch(symbol, start)
        return Answer(symbol, start, asked_at, frame)

    def _ticker(self, yfinance: Any, symbol: str) -> Any:
        return yfinance.Ticker(yahoo_symbol(symbol), session=self._session)

    def _call(self, symbol: str, ask: Any) -> Any:
        with extra("yahoo"):
            import yfinance
            from yfinance.exceptions import YFException, YFRateLimitError, YFTickerMissingError

        self._rate_limit.acquire(self._stop.wait)
        _keep_cache(self._cache)
        try:
            with _raising():
                return ask(yfinance)
        except YFRateLimitError as error:
            raise RateLimited(f"Yahoo reports too many calls, at {symbol}: wait a while") from error
        except YFTickerMissingError as error:
            raise SymbolError(f"Yahoo has no prices for {symbol} ({error.rationale}): check its spelling") from error
        except (OSError, YFException) as error:
            raise SourceUnavailable(
                f"Yahoo (finance.yahoo.com) did not answer for {symbol} ({type(error).__name__}); check the network, "
                "or try again later"
            ) from error
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise BadAnswer(
                f"yfinance cannot read what Yahoo answered for {symbol} ({type(error).__name__}); nothing was stored"
            ) from error


def yahoo_symbol(symbol: str) -> str:
    """Return how Yahoo writes a symbol.

    >>> yahoo_symbol("BRK.B"), yahoo_symbol("^GSPC"), yahoo_symbol("VOD.L")
    ('BRK-B', '^GSPC', 'VOD.L')
    """
    found = _SHARE_CLASS.fullmatch(symbol)
    return f"{found[1]}-{found[2]}" if found else symbol


@cache
def _keep_cache(folder: Path) -> None:
    # once, before the first use: yfinance ignores a later change
    import yfinance

    folder.mkdir(parents=True, exist_ok=True)
    yfinance.set_tz_cache_location(str(folder))


@contextmanager
def _raising() -> Iterator[None]:
    """Let yfinance raise what it would only log, and restore its setting for the caller's own use after the block."""
    from yfinance.config import YfConfig

    before = YfConfig.debug.hide_exceptions
    YfConfig.debug.hide_exceptions = False
    try:
        yield
    finally:
        YfConfig.debug.hide_exceptions = before


def _day(edge: date | datetime) -> date:
    return new_york_date(edge) if isinstance(edge, datetime) else edge
