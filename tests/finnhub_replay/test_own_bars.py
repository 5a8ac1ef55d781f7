"""A user's own file of bars: replayed exactly when it is sound, refused in one sentence when it is not."""

import codecs
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from finnhub_replay import read_tape, recorded_bars, replay_symbols
from finnhub_replay.clock import read_start as new_york
from finnhub_replay.exchange import Exchange
from finnhub_replay.tape import Bar
from stocklib.errors import EmbeddedError
from stocklib.sessions import sessions

HEADER = "symbol,date,open,high,low,close,volume"
GOOD = "ZZZ,2012-12-13,10,12,9,11,500"
YEARS = {"first": date(2012, 1, 1), "last": date(2012, 12, 31)}


def write(folder: Path, *lines: str, name: str = "own.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_csv_is_replayed_to_the_last_digit_whatever_its_order_and_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2012-12-14,zzz,1200,11.1,438.1799,0.0123456789,100.30000000000001,x",
        "2012-12-13,NA,7,5,5,5,5,y",
        "2012-12-13 00:00:00,ZZZ,500.0,10,12,9,11,x",
        header="date,symbol,volume,open,high,low,close,note",
    )
    tape = read_tape(path)
    assert tape.symbols == replay_symbols(path) == ["NA", "ZZZ"]
    assert tape.bars["ZZZ"] == [
        Bar("ZZZ", date(2012, 12, 13), 10, 12, 9, 11, 500),
        Bar("ZZZ", date(2012, 12, 14), 11.1, 438.1799, 0.0123456789, 100.30000000000001, 1200),
    ]
    quote = Exchange(tape).quote("ZZZ", new_york("2012-12-14T16:00"))
    assert [quote[name] for name in ("o", "h", "l", "c", "pc")] == [
        11.1,
        438.1799,
        0.0123456789,
        100.30000000000001,
        11,
    ]


@pytest.mark.parametrize("as_written", ["date", "timestamp", "text"])
def test_a_parquet_holds_its_dates_in_any_common_way(tmp_path: Path, as_written: str) -> None:
    frame = recorded_bars().query("symbol == 'FB'")
    text = frame["date"].astype(str)
    frame = frame.assign(date={"date": frame["date"], "timestamp": pd.to_datetime(text), "text": text}[as_written])
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "own.parquet")
    assert read_tape(tmp_path / "own.parquet").bars == {"FB": read_tape().bars["FB"]}


def test_splits_dividends_and_companies_beside_the_bars_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "ZZZ,2012-12-14,1,1.2,0.9,1.1,5000")
    write(tmp_path, "zzz,2012-12-14,1,10", name="splits.csv", header="\ufeffsymbol,date,fromFactor,toFactor")
    write(tmp_path, "ZZZ,2012-12-13,0.5", name="dividends.csv", header="symbol,date,amount")
    write(tmp_path, "ZZZ,Zed,2012-12-13,", name="companies.csv", header="ticker,name,ipo,shareOutstanding")
    market, now = Exchange(read_tape(path)), new_york("2012-12-14T16:00")
    candles = market.candles("ZZZ", "D", first=0, last=2_000_000_000, now=now)
    assert (candles["c"], candles["v"]) == ([1.1, 1.1], [5000, 5000])
    assert market.quote("ZZZ", now)["pc"] == 1.1
    assert market.splits("ZZZ", **YEARS, now=now)[0]["toFactor"] == 10
    assert market.dividends("ZZZ", **YEARS, now=now)[0]["adjustedAmount"] == 0.05
    profile = market.profile("ZZZ", now)
    assert (profile["name"], profile["ipo"], profile["marketCapitalization"]) == ("Zed", "2012-12-13", 0)
    assert len(profile) == 12


def test_splits_dividends_and_companies_have_column_names_in_any_case(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "ZZZ,2012-12-14,1,1.2,0.9,1.1,5000")
    write(tmp_path, "zzz,2012-12-14,1,10", name="splits.csv", header="Symbol,DATE,fromfactor, ToFactor")
    write(tmp_path, "ZZZ,2012-12-13,0.5", name="dividends.csv", header="symbol,Date,Amount")
    write(tmp_path, "ZZZ,Zed,2012-12-13", name="companies.csv", header="Ticker,name,IPO")
    tape = read_tape(path)
    assert (tape.splits["ZZZ"][0].new, tape.dividends["ZZZ"][0].amount) == (10, 0.5)
    assert tape.companies["ZZZ"] == {"ticker": "ZZZ", "name": "Zed", "ipo": date(2012, 12, 13)}
    write(tmp_path, "ZZZ,2012-12-13,0.5,1", name="dividends.csv", header="symbol,Date,Amount,amount")
    with pytest.raises(EmbeddedError, match=r"dividends\.csv has two columns for amount: Amount and amount"):
        read_tape(path)


def test_a_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    write(tmp_path, "ZZZ,2012-12-13,1,10", name="splits.csv", header="symbol,date,fromFactor,toFactor")
    write(tmp_path, "ZZZ,2012-12-13,0.5", name="dividends.csv", header="symbol,date,amount")
    write(tmp_path, "ZZZ,Zed,2012-12-13,", name="companies.csv", header="ticker,name,ipo,shareOutstanding")
    plain = read_tape(path)
    for file in tmp_path.glob("*.csv"):
        file.write_bytes(codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_tape(path) == plain
    assert plain.companies["ZZZ"]["name"] == "Zed"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("name", ["own.csv", "companies.csv"])
def test_another_encoding_is_one_sentence_that_says_how_to_save_the_file(
    tmp_path: Path, name: str, encoding: str
) -> None:
    path = write(tmp_path, GOOD + ",Société", header=HEADER + ",note")
    write(tmp_path, "ZZZ,Société,2012-12-13,", name="companies.csv", header="ticker,name,ipo,shareOutstanding")
    (tmp_path / name).write_bytes((tmp_path / name).read_text().encode(encoding))
    with pytest.raises(EmbeddedError, match="save the file as UTF-8") as raised:
        read_tape(path)
    assert str(tmp_path / name) in str(raised.value)


def test_without_companies_a_profile_is_empty(tmp_path: Path) -> None:
    assert Exchange(read_tape(write(tmp_path, GOOD))).profile("ZZZ", new_york("2012-12-14T12:00")) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ZZZ,2012-12-14,10,12,9,eleven,500", "bar 2 (ZZZ 2012-12-14): close is not a number; 1 of 2 bars so"),
        ("ZZZ,2012-12-14,,12,9,11,500", "bar 2 (ZZZ 2012-12-14): open is not a number"),
        ("ZZZ,2012-12-14,10,inf,9,11,500", "bar 2 (ZZZ 2012-12-14): high is not a number"),
        ("ZZZ,2012-12-14,10,12,0,11,500", "bar 2 (ZZZ 2012-12-14): low is zero or negative"),
        ("ZZZ,2012-12-14,10,9,12,11,500", "bar 2 (ZZZ 2012-12-14): high is below low"),
        ("ZZZ,2012-12-14,13,12,9,11,500", "bar 2 (ZZZ 2012-12-14): open is outside of low to high"),
        ("ZZZ,2012-12-14,10,12,9,8,500", "bar 2 (ZZZ 2012-12-14): close is outside of low to high"),
        ("ZZZ,2012-12-14,10,12,9,11,-1", "volume is not a number of shares"),
        ("ZZZ,2012-12-14,10,12,9,11,0.5", "volume is not a number of shares"),
        ("ZZZ,2012-12-14,10,12,9,11,1e300", "volume is not a number of shares"),
        ("zzz,2012-12-13,10,12,9,11,500", "bar 2 (ZZZ 2012-12-13): the symbol has this date twice"),
        ("ZZZ,2012-12-15,10,12,9,11,500", "bar 2 (ZZZ 2012-12-15): New York was closed on this date"),
        ("ZZZ,2012-10-29,10,12,9,11,500", "bar 2 (ZZZ 2012-10-29): New York was closed on this date"),
        ("ZZZ,1995-12-14,10,12,9,11,500", "bar 2 (ZZZ 1995-12-14): date is outside the trading calendar, 2000-01-01"),
        ("ZZZ,14.12.2012,10,12,9,11,500", "bar 2 (ZZZ 14.12.2012): date: '14.12.2012' is not a date like 2012-12-14"),
        ("ZZZ,,10,12,9,11,500", "date: '' is not a date like 2012-12-14"),
        ("'; drop table,2012-12-14,10,12,9,11,500", 'symbol: "\'; drop table" is not a stock symbol'),
        (",2012-12-14,10,12,9,11,500", "bar 2 ( 2012-12-14): symbol: '' is not a stock symbol"),
    ],
)
def test_a_bar_that_cannot_be_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path, GOOD, line)
    with pytest.raises(EmbeddedError) as caught:
        read_tape(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table_of_bars_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.parquet").write_bytes(b"not a parquet")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x81" * 9)
    (tmp_path / "blank.csv").write_bytes(b"")
    files = {
        write(tmp_path, name="empty.csv"): "holds no bars",
        write(tmp_path, "ZZZ,2012-12-13,1", name="short.csv", header="symbol,date,open"): "lacks the column high, low",
        write(tmp_path, GOOD, GOOD + ",1,2,3", name="ragged.csv"): "cannot be read as bars: .* line 3",
        tmp_path / "bytes.parquet": "cannot be read as bars",
        tmp_path / "bytes.csv": "cannot be read as bars",
        tmp_path / "blank.csv": "cannot be read as bars",
        tmp_path / "absent.csv": "cannot be read as bars",
        tmp_path / "absent.parquet": "cannot be read as bars",
        tmp_path: "cannot be read as bars",
    }
    for path, said in files.items():
        with pytest.raises(EmbeddedError, match=said) as caught:
            read_tape(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "header", "line", "said"),
    [
        ("splits.csv", "symbol,date,ratio", "ZZZ,2012-12-14,2", "lacks the column fromFactor, toFactor"),
        ("splits.csv", "symbol,date,fromFactor,toFactor", "ZZZ,2012-12-14,0,2", "line 2: fromFactor: 0 is not above"),
        ("splits.csv", "symbol,date,fromFactor,toFactor", "ZZZ,2012-12-14,1,two", "line 2: toFactor: could not"),
        ("splits.csv", "symbol,date,fromFactor,toFactor", "ZZZ,2012-12-14,1", "line 2: toFactor: could not"),
        ("splits.csv", "symbol,date,fromFactor,toFactor", "ZZZ,tomorrow,1,2", "line 2: date: Invalid isoformat"),
        ("dividends.csv", "symbol,date,amount", "ZZZ,2012-12-14,nan", "line 2: amount: nan is not above zero"),
        ("companies.csv", "name", "Zed", "lacks the column ticker"),
        ("companies.csv", "ticker,ipo", "ZZZ,soon", "line 2: ipo: Invalid isoformat"),
        ("companies.csv", "ticker,shareOutstanding", "ZZZ,many", "line 2: shareOutstanding: could not"),
    ],
)
def test_a_file_beside_the_bars_that_makes_no_sense_is_named(
    tmp_path: Path, name: str, header: str, line: str, said: str
) -> None:
    write(tmp_path, line, name=name, header=header)
    with pytest.raises(EmbeddedError, match=said) as caught:
        read_tape(write(tmp_path, GOOD))
    assert str(tmp_path / name) in str(caught.value)


def test_the_columns_of_a_csv_and_a_parquet_have_names_in_any_case(tmp_path: Path) -> None:
    header = "Symbol,Date, OPEN,High,low,Close,Adj Close,Volume"
    path = write(tmp_path, "NA,2012-12-13,10,12,9,11,5.5,500", header=header)
    written = pd.read_csv(path, keep_default_na=False)
    written.to_parquet(tmp_path / "own.parquet")
    expected = {"NA": [Bar("NA", date(2012, 12, 13), 10, 12, 9, 11, 500)]}
    assert read_tape(path).bars == read_tape(tmp_path / "own.parquet").bars == expected


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "symbol,date,Date,open,high,low,close,volume",
            "two columns for date: date and Date; keep the one that counts",
        ),
        ("symbol,date,open,high,low,close,volume,close", "two columns for close: close and close"),
        ("symbol,date,open,high,low,Adj Close,volume", "lacks the column close; .*; Adj Close is not close"),
    ],
)
def test_an_ambiguous_or_adjusted_column_is_refused(tmp_path: Path, header: str, said: str) -> None:
    cells = {"symbol": "ZZZ", "date": "2012-12-13", "Date": "2012-12-14"}
    row = ",".join(cells.get(name, "10") for name in header.split(","))
    with pytest.raises(EmbeddedError, match=said):
        read_tape(write(tmp_path, row, header=header))


def test_a_symbol_with_one_bar_among_thirty_is_named_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    days = [found.session_date for found in sessions(date(2012, 10, 1), date(2012, 11, 15))]
    rows = [f"{symbol},{day},10,12,9,11,500" for symbol in ("AAPL", "IBM", "MSFT") for day in days]
    rows[7] = rows[7].replace("AAPL", "AAPK")
    path = write(tmp_path, *rows)
    assert [(symbol, len(bars)) for symbol, bars in read_tape(path).bars.items()] == [
        ("AAPK", 1),
        *(("AAPL", len(days) - 1), ("IBM", len(days)), ("MSFT", len(days))),
    ]
    assert caplog.messages == [f"{path}: AAPK has 1 bar where others have about {len(days)}. Did you mean AAPL?"]


def test_no_recorded_symbol_is_taken_for_a_typo(caplog: pytest.LogCaptureFixture) -> None:
    assert len(read_tape().symbols) == 5
    assert not caplog.messages
