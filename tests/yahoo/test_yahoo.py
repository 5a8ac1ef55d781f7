"""Yahoo as a source of history, through yfinance itself.

What this shows: yfinance's own code runs over real HTTP and its frame becomes our records. What it does not show: that
Yahoo answers like this today. The server below speaks the shape of Yahoo's chart answers as yfinance 1.7 reads them
(``/v8/finance/chart``, ``/v10/finance/quoteSummary``, ``/v7/finance/quote``), on this machine; only the session that is
handed to yfinance sends every request there instead. The prices are those of AAPL around its 7:1 split of 2014-06-09.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import requests
from misbehaving import Asked, Reply, Server, serving

import stocklib.yahoo
from stocklib.errors import BadAnswer, DateRangeError, ParameterError, RateLimited, SourceUnavailable, SymbolError
from stocklib.quotes import SymbolMatch
from stocklib.settings import read_settings
from stocklib.yahoo import Yahoo, frames, yahoo_symbol
from workbench import symbols

# yfinance's own, which it will mend before pandas 4
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")

NEW_YORK = ZoneInfo("America/New_York")
BEFORE, SPLIT = date(2014, 6, 6), date(2014, 6, 9)


class RedirectedSession(requests.Session):
    """Sends what is meant for Yahoo to a server on this machine."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.trust_env = False
        self._at = server.url

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:
        parts = urlsplit(str(url))
        assert parts.hostname is not None
        assert parts.hostname.endswith("yahoo.com")
        return super().request(method, f"{self._at}/{parts.hostname}{parts.path}", *args, **more)


def opening(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).timestamp())


def chart(rows: dict[date, list[float | None]], events: dict[str, Any] | None = None) -> dict[str, Any]:
    """A chart answer: date → open, high, low, close, volume."""
    columns = list(zip(*rows.values(), strict=True)) if rows else [[]] * 5
    quote = dict(zip(("open", "high", "low", "close", "volume"), map(list, columns), strict=True))
    meta = {
        "currency": "USD",
        "symbol": "AAPL",
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EDT",
        "gmtoffset": -14400,
        "priceHint": 2,
        "dataGranularity": "1d",
        "validRanges": ["1d", "5d", "1mo", "max"],
        "currentTradingPeriod": {},
    }
    result: dict[str, Any] = {
        "meta": meta,
        "timestamp": [opening(day) for day in rows],
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [row[3] for row in rows.values()]}]},
    }
    if events:
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


AAPL = chart(
    {
        date(2014, 5, 7): [84.251427, 85.331429, 83.961426, 84.618568, 282_864_400],
        date(2014, 5, 8): [84.037140, 84.915718, 83.770004, 83.998573, 230_297_200],
        BEFORE: [92.842857, 93.037140, 92.067146, 92.224289, 349_938_400],
        SPLIT: [92.699997, 93.879997, 91.750000, 93.699997, 301_660_000],
    },
    {
        "splits": {
            str(opening(SPLIT)): {"date": opening(SPLIT), "numerator": 7, "denominator": 1, "splitRatio": "7:1"}
        },
        "dividends": {str(opening(date(2014, 5, 8))): {"amount": 0.47, "date": opening(date(2014, 5, 8))}},
    },
)
UNKNOWN = {
    "chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}
}


class YahooServer:
    """Cookies and a crumb for everybody; the chart that a test wants."""

    def __init__(self, chart: Any, *, status: int = 200, info: dict[str, Any] | None = None, found: Any = ()) -> None:
        self.chart, self.status, self.info, self.found = chart, status, info or {}, found
        self.failures = 0

    def __call__(self, asked: Asked) -> Reply:
        if "/v8/finance/chart/" in asked.path:
            if self.failures > 0:
                self.failures -= 1
                return Reply(b"", truncate=False, status=200, headers={"Content-Length": "10"})
            return Reply(self.chart, status=self.status)
        if "/v1/finance/search" in asked.path:
            return Reply({"quotes": list(self.found), "news": [], "lists": []})
        if "getcrumb" in asked.path:
            return Reply(b"a-crumb")
        if "quoteSummary" in asked.path:
            return Reply({"quoteSummary": {"result": [{"assetProfile": self.info, "symbol": "AAPL"}], "error": None}})
        if "/v7/finance/quote" in asked.path:
            return Reply({"quoteResponse": {"result": [{"symbol": "AAPL"} | self.info], "error": None}})
        if "fundamentals-timeseries" in asked.path:
            return Reply({"timeseries": {"result": [], "error": None}})
        return Reply(b"<html></html>", headers={"Set-Cookie": "A3=x; Path=/"})


Open = Callable[[Server], Yahoo]


@pytest.fixture
def yahoo(tmp_path: Path) -> Iterator[Open]:
    settings = read_settings(environ={"STOCKS_HOME": str(tmp_path / "home")})

    def open_yahoo(server: Server) -> Yahoo:
        return Yahoo(settings, session=RedirectedSession(server), attempts=2, first_pause=0.01)

    yield open_yahoo
    import yfinance.base
    import yfinance.cache
    from yfinance.data import YfData

    # yfinance keeps one session and one cache for the whole process: the next test gets fresh ones
    YfData._instances.clear()
    stocklib.yahoo._keep_cache.cache_clear()
    yfinance.cache.set_cache_location(str(tmp_path))
    yfinance.cache._TzCacheManager._tz_cache = None
    yfinance.cache._CookieCacheManager._Cookie_cache = None
    yfinance.cache._ISINCacheManager._isin_cache = None
    yfinance.base._tz_info_fetch_ctr = 0


def charts(server: Server) -> list[Asked]:
    return [asked for asked in server.asked if "/v8/finance/chart/" in asked.path]


def test_bars_are_split_adjusted_and_not_dividend_adjusted(yahoo: Open) -> None:
    with serving(YahooServer(AAPL)) as server, yahoo(server) as source:
        candles = source.candles("AAPL", "D", date(2014, 5, 7), SPLIT)
    assert [candle.quote_date for candle in candles] == [date(2014, 5, 7), date(2014, 5, 8), BEFORE, SPLIT]
    assert candles[2].close_price == 92.224289
    assert candles[2].volume == 349_938_400
    assert candles[2].candle_time == datetime(2014, 6, 6, tzinfo=UTC)
    assert {candle.data_source for candle in candles} == {"yfinance"}
    # times the seven of the split that follows, it is what was traded
    assert round(candles[2].close_price * 7, 2) == 645.57


def test_one_request_brings_bars_splits_and_dividends_of_the_same_instant(yahoo: Open) -> None:
    with serving(YahooServer(AAPL)) as server, yahoo(server) as source:
        source.candles("AAPL", "D", date(2014, 5, 7), SPLIT)
        before = len(charts(server))
        checked, split = source.splits("AAPL", date(2014, 5, 7), date.today() + timedelta(days=1))
        paid, dividend = source.dividends("AAPL", date(2014, 5, 7), date.today())
        assert len(charts(server)) == before
    assert (split.action_date, split.from_factor, split.to_factor) == (SPLIT, 1.0, 7.0)
    # paid as 3.29 a share, which Yahoo answers divided by seven
    assert (dividend.action_date, dividend.amount) == (date(2014, 5, 8), pytest.approx(3.29))
    assert checked.kind == "checked"
    assert checked.checked_to == checked.fetched_at.astimezone(NEW_YORK).date()
    assert (paid.kind, paid.action_date, paid.checked_to) == ("checked_dividends", date(2014, 5, 7), checked.checked_to)
    assert {checked.fetched_at} == {split.fetched_at, dividend.fetched_at, paid.fetched_at}


@pytest.mark.parametrize(
    "ratio", [7.0, 1.5, 1.00005, 100_000.0, 1 / 190, 1 / 4000, 1 / 15_000, 1 / 35_000, 2 / 15_001, 1e-7]
)
def test_a_split_keeps_its_ratio_whatever_its_size(ratio: float) -> None:
    days = pd.DatetimeIndex(["2024-03-21", "2024-03-22"]).tz_localize("America/New_York")
    columns = dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), 1.0)
    frame = pd.DataFrame({**columns, "Dividends": 0.0, "Stock Splits": [0.0, ratio]}, index=days)
    (split,) = frames.read_splits(frames.Answer("X", date(2024, 3, 1), datetime(2024, 3, 26, tzinfo=UTC), frame))
    assert split.to_factor / split.from_factor == pytest.approx(ratio, rel=1e-9)
    assert split.from_factor >= 1
    assert split.to_factor >= 1


def test_every_question_reaches_to_today_so_that_no_split_is_left_out(yahoo: Open) -> None:
    with serving(YahooServer(AAPL)) as server, yahoo(server) as source:
        source.candles("AAPL", "D", date(2014, 5, 7), date(2014, 5, 8))
        source.close()
        source.candles("AAPL", "D", date(2014, 5, 7), date(2014, 5, 8))
    asked = [a for a in charts(server) if "period2" in a.query]
    assert len(asked) == 2  # and none of them came from yfinance's memory
    assert all(int(a.query["period2"]) > datetime.now(UTC).timestamp() for a in asked)


def test_days_outside_the_range_and_days_without_prices_are_no_bars(yahoo: Open) -> None:
    answer = chart(
        {
            date(2014, 5, 7): [84.2, 85.3, 83.9, 84.6, 100],
            date(2014, 5, 8): [None, None, None, None, None],
            date(2014, 5, 9): [0.0, 85.3, 83.9, 84.6, 100],
            date(2014, 5, 12): [84.2, 85.3, 83.9, 84.6, 0],
            date(2014, 5, 13): [84.2, 85.3, 83.9, 84.6, 100],
        }
    )
    with serving(YahooServer(answer)) as server, yahoo(server) as source:
        candles = source.candles("AAPL", "D", date(2014, 5, 7), date(2014, 5, 12))
    assert [(candle.quote_date.day, candle.volume) for candle in candles] == [(7, 100.0), (12, None)]


def test_a_share_class_is_asked_for_as_yahoo_writes_it(yahoo: Open) -> None:
    with serving(YahooServer(AAPL)) as server, yahoo(server) as source:
        candles = source.candles("BRK.B", "D", date(2014, 5, 7), SPLIT)
    assert {asked.path.rsplit("/", 1)[1] for asked in charts(server)} == {"BRK-B"}
    assert {candle.symbol for candle in candles} == {"BRK.B"}
    assert yahoo_symbol("RY.TO") == "RY.TO"


def test_an_unknown_symbol_is_a_symbol_error(yahoo: Open) -> None:
    with serving(YahooServer(UNKNOWN, status=404)) as server, yahoo(server) as source:
        with pytest.raises(SymbolError, match="ZZZZ"):
            source.candles("ZZZZ", "D", date(2014, 5, 7), SPLIT)
        with pytest.raises(SymbolError):
            source.candles("'; drop table", "D", date(2014, 5, 7), SPLIT)


def test_too_many_requests_are_rate_limited(yahoo: Open) -> None:
    with serving(YahooServer({}, status=429)) as server, yahoo(server) as source, pytest.raises(RateLimited):
        source.candles("AAPL", "D", date(2014, 5, 7), SPLIT)


@pytest.mark.parametrize("answer", [b"<html>sorry</html>", b"{}", b"[]", {"chart": {"result": [{}], "error": None}}])
def test_an_answer_of_another_shape_is_one_of_our_errors(yahoo: Open, answer: Any) -> None:
    ours = pytest.raises((BadAnswer, SymbolError, SourceUnavailable), match="AAPL")
    with serving(YahooServer(answer)) as server, yahoo(server) as source, ours:
        source.candles("AAPL", "D", date(2014, 5, 7), SPLIT)


def test_nobody_there_is_unavailable(yahoo: Open) -> None:
    with serving(YahooServer(AAPL)) as server:
        pass
    with yahoo(server) as source, pytest.raises(SourceUnavailable, match="AAPL"):
        source.candles("AAPL", "D", date(2014, 5, 7), SPLIT)


def test_a_range_that_runs_backwards_and_another_resolution_are_refused(yahoo: Open) -> None:
    with serving(YahooServer(AAPL)) as server, yahoo(server) as source:
        with pytest.raises(DateRangeError, match="reversed"):
            source.candles("AAPL", "D", SPLIT, BEFORE)
        with pytest.raises(ParameterError, match="resolution D"):
            source.candles("AAPL", "60", BEFORE, SPLIT)
    assert not server.asked


def test_a_profile_comes_in_finnhubs_names(yahoo: Open) -> None:
    info = {
        "longName": "Apple Inc.",
        "country": "United States",
        "industry": "Consumer Electronics",
        "currency": "USD",
        "sharesOutstanding": 14_840_000_000,
        "fullExchangeName": "NasdaqGS",
    }
    with serving(YahooServer(AAPL, info=info)) as server, yahoo(server) as source:
        profile = source.profile("AAPL")
    assert profile.fields["name"] == "Apple Inc."
    assert profile.fields["finnhubIndustry"] == "Consumer Electronics"
    assert profile.fields["shareOutstanding"] == 14_840.0


def test_the_cache_stays_under_the_home(yahoo: Open, tmp_path: Path) -> None:
    with serving(YahooServer(AAPL)) as server, yahoo(server) as source:
        source.candles("AAPL", "D", date(2014, 5, 7), SPLIT)
    assert list((tmp_path / "home" / "yfinance").glob("*.db"))


# two rows of an answer to q=berkshire, without its scores
BERKSHIRE = [
    {
        "symbol": "BRK-B",
        "shortname": "Berkshire Hathaway Inc. New",
        "longname": "Berkshire Hathaway Inc.",
        "quoteType": "EQUITY",
        "typeDisp": "Equity",
        "exchange": "NYQ",
        "sector": "Financial Services",
        "sectorDisp": "Financial Services",
        "industry": "Insurance—Diversified",
        "industryDisp": "Insurance—Diversified",
    },
    {"symbol": "BRKHX", "shortname": "A fund", "quoteType": "MUTUALFUND", "typeDisp": "Fund"},
]


def test_a_search_brings_symbols_names_and_sectors_as_config_writes_them(yahoo: Open) -> None:
    with serving(YahooServer(AAPL, found=BERKSHIRE)) as server, yahoo(server) as source:
        listed = source.search("berkshire")
    assert listed == [
        SymbolMatch("BRK.B", "Berkshire Hathaway Inc.", "Equity", "Financials", "Insurance—Diversified"),
        SymbolMatch("BRKHX", "A fund", "Fund"),
    ]
    assert server.asked[-1].query["q"] == "berkshire"


def test_a_symbol_is_added_in_one_spelling_and_with_yahoos_sector(
    yahoo: Open, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "config").mkdir()
    watchlist = project / "config" / "stock_symbols.json"
    watchlist.write_text('{"symbols": ["IBM"]}')
    monkeypatch.chdir(project)
    settings = read_settings(environ={"STOCKS_HOME": str(project / "home"), "HISTORY_SOURCE": "yfinance"})
    with serving(YahooServer(UNKNOWN, status=404, found=BERKSHIRE)) as server:
        monkeypatch.setattr("workbench.symbols.open_history", lambda settings: yahoo(server))
        added, troubles = symbols.add(settings, ["brk-b", "BERKSHIRE"], say=print)
    assert added == ["BRK.B"]
    assert troubles == [
        "yfinance knows no symbol BERKSHIRE. Did you mean BRK.B (Berkshire Hathaway Inc.) or BRKHX (A fund)?"
    ]
    assert watchlist.read_text() == '{"symbols": ["IBM", "BRK.B"]}'
    sectors = (project / "config" / "sectors.csv").read_text(encoding="utf-8")
    assert sectors == "symbol,sector,industry\nBRK.B,Financials,Insurance—Diversified\n"


def test_a_symbol_is_priced_where_yahoo_has_a_recent_bar(yahoo: Open) -> None:
    today = datetime.now(NEW_YORK).date()
    with serving(YahooServer(chart({today: [84.2, 85.3, 83.9, 84.6, 100]}))) as server, yahoo(server) as source:
        assert source.is_priced("BTC-USD")
    with serving(YahooServer(UNKNOWN, status=404)) as server, yahoo(server) as source:
        assert not source.is_priced("ZZZZ")
