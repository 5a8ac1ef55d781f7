"""Numbers of any size: one that is too large is refused with a reason or null, and everybody else's rows are there.

One warehouse holds today's companies and every numeric field of every record at every extreme.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pytest
import two_places
from landed import (
    Bar,
    Poll,
    Split,
    actions,
    candles,
    landed,
    messages,
    polls_of,
    profile,
    settings_in,
    trade_messages,
    utc,
)
from landed import dividends as paid
from page_parts import json_in
from pyarrow import parquet
from story import Story

from stocklib import market
from stocklib.report import write_report
from stocklib.sessions import previous_session, sessions
from stocklib.warehouse import open_warehouse

DAY = date(2024, 12, 24)
FETCHED = "2024-12-24T14:00:00"
DAYS = [session.session_date for session in sessions(DAY - timedelta(days=160), previous_session(DAY).session_date)]
NUMBERS = [
    *("0", "-0.0", "1e-320", "1e-6", "0.00000412", "9e11", "999999999999.9999", "1e12", "4e14", "1e18", "1e20"),
    *("1e30", "1e300", "1e308", "-5", "-1e300", "1" + "0" * 30, "9" * 400),
]
# today's market: millions of shares, the last close, the currency
COMPANIES = {
    "AAPL": (15115.82, 257.0, "USD"),
    "NVDA": (24490.0, 139.67, "USD"),
    "BRK.A": (1.44, 680_000.0, "USD"),
    "7203.T": (15_794.99, 2_690.5, "JPY"),
    "005930.KS": (6_792.67, 62_350.0, "KRW"),
}
# no date, no kind and no source; dates that engines know and cannot count on from
STRAYS = [
    *("infinity", "-infinity", "9999-12-31", "5881580-07-10", "0001-01-01", "0044-03-15 (BC)", "20241223", "", "abc"),
    *("NaN", -1, 0, 1e300, None, True, []),
]
# twelve splits of ten old shares to one, after which a price of 30 stands next to 3e13; and one the other way
REVERSED = [Split("RVRS", day, 10, 1) for day in DAYS[-13:-1]]
FORWARD = [Split("FRWD", day, 1, 100) for day in DAYS[-4:-1]]


# two sessions, and what a source says before the next bell, when it has rolled its close before over
ROLLED = [
    Poll("ROLL", 100.0, 101.0, 98.0, 99.0, 99.0, utc("2024-12-23T21:00:00"), utc("2024-12-23T21:25:00")),
    Poll("ROLL", 110.0, 111.0, 99.0, 100.0, 100.0, utc("2024-12-24T18:00:00"), utc("2024-12-24T18:25:00")),
    Poll("ROLL", 110.0, 111.0, 99.0, 100.0, 110.0, utc("2024-12-24T18:00:00"), utc("2024-12-26T13:00:00")),
]


def walk(symbol: str, close: float, last: date = DAY) -> list[Bar]:
    """Bars that end at this close."""
    days = [*DAYS, DAY] if last == DAY else DAYS
    steps = [1 + ((7 * number) % 11 - 5) / 1000 for number in range(len(days))]
    bars, before = [], close
    for number, day in enumerate(days):
        price = round(close * steps[number], 6) if day != DAY else close
        bars.append(Bar(symbol, day, price, price * 1.01, price * 0.99, price, 40_000_000, before))
        before = price
    return bars


def with_number(line: bytes, number: str, *fields: str, inside: str = "") -> bytes:
    """The same line with this number, as it is written, in these fields."""
    record = orjson.loads(line)
    holder = record[inside] if inside else record
    assert set(fields) <= set(holder)
    holder |= dict.fromkeys(fields, "%number%")
    return orjson.dumps(record).replace(b'"%number%"', number.encode())


def quotes() -> Iterator[tuple[str, str, bytes]]:
    """(symbol, number, line) of a quote that is right but for one field, or for all its prices at once."""
    at = utc("2024-12-24T15:00:00")
    for field in ("c", "d", "dp", "h", "l", "o", "pc", "t", "fetched_at", "prices"):
        for place, number in enumerate(NUMBERS):
            symbol = f"Q{field}{place}".upper().replace("_", "")
            poll = Poll(symbol, 100.0, 101.0, 99.0, 100.0, 100.0, at, at)
            line = messages([poll], first_offset=1_000_000 + place, topic_id=f"topic-{field}")[0]
            fields = ("c", "h", "l", "o", "pc") if field == "prices" else (field,)
            yield symbol, number, with_number(line, number, *fields, inside="payload")


def trades() -> Iterator[tuple[str, str, bytes]]:
    at = utc("2024-12-24T15:00:00")
    for field in ("p", "v", "t", "fetched_at", "since", "both"):
        for place, number in enumerate(NUMBERS):
            symbol = f"T{field}{place}".upper().replace("_", "")
            line = trade_messages([(symbol, 100.0, 10.0, at)], first_offset=place, topic_id=f"trades-{field}")[0]
            fields = ("p", "v") if field == "both" else (field,)
            yield symbol, number, with_number(line, number, *fields, inside="payload")


def bars() -> Iterator[tuple[str, str, bytes]]:
    for field in ("open", "high", "low", "close", "volume", "fetched_at", "prices"):
        for place, number in enumerate(NUMBERS):
            symbol = f"C{field}{place}".upper().replace("_", "")
            line = candles([Bar(symbol, DAYS[-1], 100.0, 100.0, 100.0, 100.0)], utc(FETCHED))[0]
            fields = ("open", "high", "low", "close") if field == "prices" else (field,)
            yield symbol, number, with_number(line, number, *fields)


def splits() -> Iterator[tuple[str, str, bytes]]:
    for field in ("from_factor", "to_factor", "fetched_at"):
        for place, number in enumerate(NUMBERS):
            symbol = f"S{field}{place}".upper().replace("_", "")
            line = actions([symbol], utc(FETCHED), splits=[Split(symbol, DAYS[-9], 1, 2)], checked=False)[0]
            yield symbol, number, with_number(line, number, field)


def dividends() -> Iterator[tuple[str, str, bytes]]:
    for field in ("amount", "fetched_at"):
        for place, number in enumerate(NUMBERS):
            symbol = f"D{field}{place}".upper().replace("_", "")
            line = actions([symbol], utc(FETCHED), splits=[Split(symbol, DAYS[-9], 1, 2)], checked=False)[0]
            paid = {**orjson.loads(line), "kind": "dividend", "from_factor": None, "to_factor": None, "amount": 1.0}
            yield symbol, number, with_number(orjson.dumps(paid), number, field)


def profiles() -> Iterator[tuple[str, str, bytes]]:
    for place, number in enumerate(NUMBERS):
        symbol = f"P{place}"
        yield symbol, number, with_number(profile(symbol, utc(FETCHED)), number, "shareOutstanding", inside="profile")


def strays() -> Iterator[tuple[str, bytes]]:
    """(dataset, line) of lines without a date, a kind or a source, and of lines with another kind's fields."""
    day, at = DAYS[-9], utc(FETCHED)
    lines = {
        "daily_historical_quotes": [(candles([Bar("STRAY", DAYS[-1], 9.0, 9.0, 9.0, 9.0)], at)[0], "date data_source")],
        "corporate_actions": [
            (actions(["STRAY"], at, splits=[Split("STRAY", day, 1, 2)], checked=False)[0], "date kind amount"),
            (actions(["STRAY"], at)[0], "date checked_to kind amount from_factor"),
            (paid({"STRAY": [(day, 1.0)]}, at, checked=False)[0], "date kind from_factor to_factor"),
            (paid({"STRAY": []}, at)[0], "date checked_to"),
        ],
        "company_profiles": [(profile("STRAY", at), "ipo")],
    }
    for dataset, found in lines.items():
        for place, (line, fields) in enumerate(found):
            for field in fields.split():
                for number, value in enumerate(STRAYS):
                    record = orjson.loads(line) | {"symbol": f"{dataset[:3]}{place}{field}{number}".upper()}
                    (record["profile"] if field == "ipo" else record)[field] = value
                    yield dataset, orjson.dumps(record)


# where silver keeps a field, and what rounding may change of it, other than a thousandth
COLUMNS = {
    **{field: (f"{field}_price", 0.0) for field in ("open", "high", "low", "close")},
    "c": ("current_price", 0.0),
    "h": ("day_high", 0.0),
    "l": ("day_low", 0.0),
    "o": ("day_open", 0.0),
    "pc": ("prev_close", 0.0),
    "d": ("change_amount", 5e-7),
    "dp": ("change_percent", 5e-7),
    "p": ("price", 0.0),
    "v": ("volume", 0.0),
    "volume": ("volume", 0.5),
    # an instant, which other tests compare
    "fetched_at": ("", 0.0),
}
# what a source computes itself: null where it does not fit
DERIVED = ("d", "dp")
EXTREMES = {
    "stock_quotes": list(quotes()),
    "stock_trades": list(trades()),
    "daily_historical_quotes": list(bars()),
    "corporate_actions": [*splits(), *dividends()],
    "company_profiles": list(profiles()),
}


@pytest.fixture(scope="module")
def market_of_today(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Today's companies with 110 sessions of history and a streamed one, between everything that is extreme."""
    story = Story(settings_in(tmp_path_factory.mktemp("magnitudes")))
    fetched = utc(FETCHED)
    bars = [bar for symbol, (_, close, _) in COMPANIES.items() for bar in walk(symbol, close, DAYS[-1])]
    # as they were traded: its price was 3e13 times smaller than it is on today's basis
    bars += walk("RVRS", 30.0, DAYS[-1]) + walk("FRWD", 2.0, DAYS[-1])
    known = [*COMPANIES, "RVRS", "FRWD"]
    asked = {
        symbol for dataset in ("daily_historical_quotes", "corporate_actions") for symbol, _, _ in EXTREMES[dataset]
    }
    today = [
        poll for symbol, (_, close, _) in COMPANIES.items() for poll in polls_of(walk(symbol, close)[-1], every=1800)
    ]
    # a price of 9e11 after one of a millionth
    wild = Poll("WILD", 9e11, 9e11, 1e-6, 1e-6, 1e-6, utc("2024-12-24T15:00:00"), utc("2024-12-24T15:00:01"))
    lines = {
        "ytd_historical_quotes": candles(bars, fetched, splits=[*REVERSED, *FORWARD]),
        "corporate_actions": actions([*known, *sorted(asked)], fetched, splits=[*REVERSED, *FORWARD]),
        "company_profiles": [
            profile(symbol, fetched, shareOutstanding=shares, currency=currency)
            for symbol, (shares, _, currency) in COMPANIES.items()
        ],
        "stock_quotes": messages([*today, wild, *ROLLED]),
    }
    for dataset, extremes in EXTREMES.items():
        lines[dataset] = [*(line for _, _, line in extremes), *lines.get(dataset, [])]
    for dataset, line in strays():
        lines[dataset].append(line)
    story.tell(*(landed(dataset, found, name=dataset, hour="2024-12-24T21") for dataset, found in lines.items()))
    return story


def test_the_companies_of_today_are_published_whatever_stands_beside_them(market_of_today: Story) -> None:
    facts = market_of_today.query("select * from gold.fact_daily_stock_quotes").set_index("symbol")
    tree = market_of_today.query(
        "select symbol, cast(market_cap as varchar) as market_cap, avg_price, volatility_30day_percent as volatility "
        "from gold.gold_treechart"
    ).set_index("symbol")
    for symbol, (shares, close, _) in COMPANIES.items():
        closes = [bar.close for bar in walk(symbol, close)]
        assert facts.loc[symbol, "close_price"].tolist() == closes
        assert facts.loc[symbol, "daily_return_percent"].tolist()[1:] == pytest.approx(
            (pd.Series(closes).pct_change()[1:] * 100).tolist(), abs=1e-6
        )
        # exact to the last digit, whatever the size
        assert Decimal(tree.loc[symbol, "market_cap"]) == Decimal(str(shares)) * 1_000_000 * Decimal(str(close))
        assert tree.loc[symbol, "volatility"] > 0
    assert float(tree.loc["AAPL", "market_cap"]) == pytest.approx(3.884766e12, rel=1e-6)
    assert float(tree.loc["005930.KS", "market_cap"]) > 4e14


def fates(story: Story, dataset: str, admitted: str, refused: str) -> dict[str, tuple[str, Any]]:
    """What became of each extreme line, by its place in the object."""
    rejected = story.query(f"select line_no, reason from raw.rejected_lines where dataset = '{dataset}'")
    quarantined = story.query(f"select line_no, reason from silver.{refused} where object_key like '{dataset}/%'")
    assert quarantined["reason"].str.len().gt(3).all()
    taken = story.query(f"select line_no, t.* from {admitted} as t where object_key like '{dataset}/%'")
    found = {int(row.line_no): ("rejected", row.reason) for row in rejected.itertuples()}
    found |= {int(row.line_no): ("quarantined", row.reason) for row in quarantined.itertuples()}
    for row in taken.to_dict("records"):
        assert int(row["line_no"]) not in found
        found[int(row["line_no"])] = ("taken", row)
    return found


@pytest.mark.parametrize(
    ("dataset", "admitted", "refused", "reasons"),
    [
        (
            "stock_quotes",
            "silver.stg_stock_quotes_cleaned",
            "quarantined_quotes",
            {"price out of range", "price not positive", "time missing or not a number"},
        ),
        (
            "stock_trades",
            "silver.stg_stock_trades_cleaned",
            "quarantined_trades",
            {"price out of range", "volume beyond all shares", "price times volume out of range"},
        ),
        (
            "daily_historical_quotes",
            "silver.stg_historical_quotes_cleaned",
            "quarantined_candles",
            {"price out of range", "price not positive", "volume out of range", "negative volume"},
        ),
        (
            "corporate_actions",
            "silver.stg_corporate_actions_cleaned",
            "quarantined_actions",
            {"factor out of range", "factor not positive", "amount out of range", "amount not positive"},
        ),
    ],
)
def test_an_extreme_number_is_kept_exactly_or_refused_with_a_reason(
    market_of_today: Story, dataset: str, admitted: str, refused: str, reasons: set[str]
) -> None:
    found = fates(market_of_today, dataset, admitted, refused)
    for line_no, (symbol, number, line) in enumerate(EXTREMES[dataset], start=1):
        # asked for in 1970, a split of this year is one that has been announced
        fate, row = found.get(line_no, ("announced", number))
        assert fate != "announced" or ('"split"' in line.decode() and f'"fetched_at":{number}' in line.decode())
        if fate == "taken":
            assert row["symbol"] == symbol
            record = orjson.loads(line)
            for field, value in record.get("payload", record).items():
                column, digits = COLUMNS.get(field, (field, 0.0))
                if column in row and isinstance(value, int | float) and not (field in DERIVED and pd.isna(row[column])):
                    assert float(row[column]) == pytest.approx(value, rel=1e-3, abs=digits), (symbol, number, field)
    assert {fate for fate, _ in found.values()} == {"taken", "quarantined", "rejected"}
    assert reasons <= {reason for fate, reason in found.values() if fate == "quarantined"}


def test_a_line_without_a_date_a_kind_or_a_source_is_refused_and_stops_no_other(market_of_today: Story) -> None:
    for table, reasons in {
        "candles": {"date missing", "source unknown", "no session on this date"},
        "actions": {"date missing", "kind unknown", "end of asking missing"},
    }.items():
        found = market_of_today.query(f"select distinct reason from silver.quarantined_{table}")
        assert reasons <= set(found["reason"])
    kept = market_of_today.query(
        "select distinct kind, from_factor, to_factor, cast(amount as double) as amount "
        "from silver.stg_corporate_actions_cleaned where symbol like 'COR%' order by all"
    )
    assert kept.astype(object).where(kept.notna(), None).to_numpy().tolist() == [
        ["dividend", None, None, 1.0],
        ["split", 1.0, 2.0, None],
    ]


def test_a_profile_with_impossible_shares_is_refused_and_an_unknown_number_is_null(market_of_today: Story) -> None:
    refused = market_of_today.query("select symbol, reason from silver.quarantined_profiles").set_index("symbol")
    shares = market_of_today.query(
        "select symbol, shares_outstanding from silver.dim_stock_symbols where shares_outstanding is not null"
    ).set_index("symbol")["shares_outstanding"]
    for symbol, number, _ in EXTREMES["company_profiles"]:
        if number in ("0", "-0.0", "9" * 400):
            assert symbol not in shares.index
            assert symbol not in refused.index
        elif symbol in shares.index:
            assert symbol not in refused.index
            assert shares[symbol] == pytest.approx(float(number) * 1e6, abs=0.5)
        else:
            assert refused.loc[symbol, "reason"]
    assert {"negative shares outstanding", "shares outstanding out of range"} == set(refused["reason"])


def test_adjusted_prices_hold_what_many_splits_make_of_them(market_of_today: Story) -> None:
    performance = market_of_today.query("select * from gold.fact_stock_performance order by quote_date")
    reversed_, forward = (performance[performance["symbol"] == symbol] for symbol in ("RVRS", "FRWD"))
    assert reversed_["adj_close_price"].iloc[0] == pytest.approx(walk("RVRS", 30.0, DAYS[-1])[0].close * 1e12)
    assert reversed_["ma_90day"].iloc[-20] > 1e13
    assert reversed_["drawdown_percent"].iloc[-1] == pytest.approx(-100)
    assert forward["adj_close_price"].iloc[0] == pytest.approx(2e-6, abs=1e-6)
    assert len(forward) == len(reversed_) == len(DAYS)


def test_a_change_of_any_size_is_shown(market_of_today: Story) -> None:
    kpi = market_of_today.query("select * from gold.gold_kpi where symbol = 'WILD'").iloc[0]
    assert kpi["current_price"] == 9e11
    assert kpi["change_percent"] == pytest.approx(9e19)


def test_a_close_before_that_was_rolled_over_changes_nothing(market_of_today: Story) -> None:
    kpi = market_of_today.query("select * from gold.gold_kpi where symbol = 'ROLL'").iloc[0]
    fact = market_of_today.query("select * from gold.fact_daily_stock_quotes where symbol = 'ROLL' order by quote_date")
    assert (kpi["current_price"], kpi["change_amount"], kpi["change_basis"]) == (110, 10, "close")
    assert kpi["change_percent"] == fact["daily_return_percent"].iloc[-1] == 10


def test_what_reads_gold_takes_numbers_of_any_size(market_of_today: Story, tmp_path: Path) -> None:
    settings = market_of_today.settings
    prices = market.prices([*COMPANIES, "RVRS"], settings=settings)
    assert (prices[["open", "high", "low", "close"]].dtypes == "float64").all()
    assert prices["close"].max() > 1e13
    assert two_places.disagreements(settings) == []
    page = write_report(settings, path=tmp_path / "report.html").read_text(encoding="utf-8")
    drawn = json_in(page, "charts")
    shown = market.symbols(settings=settings)
    assert all(symbol in drawn or "no bar since" in page for symbol in shown)
    for symbol in ("WILD", "RVRS"):
        closes = market.prices(symbol, settings=settings)["close"]
        daily = drawn[symbol]["daily"]
        assert sum(filter(None, daily["close"])) / 10 ** daily["digits"] == pytest.approx(closes.iloc[-1], rel=1e-3)
    written = open_warehouse(settings).export(tmp_path, fmt="parquet")
    assert {"gold_treechart", "quarantined_actions", "quarantined_profiles"} <= {path.stem for path in written}
    assert parquet.read_schema(tmp_path / "gold_treechart.parquet").field("market_cap").type == pa.decimal128(36, 6)
