"""Landed lines, made by hand: what the lake would hold, for tests that need no server.

A ``Day`` of quotes is made from a daily bar: polls that move through it so that the running high and low touch the
bar's, and a last one at the close.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from stocklib.sessions import new_york_date, session
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import LandedObject, open_warehouse

DAY = date(2012, 12, 14)


@dataclass(frozen=True)
class Bar:
    """A daily bar as it was traded."""

    symbol: str
    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int = 1000
    prev_close: float = 1.0


@cache
def recorded() -> pd.DataFrame:
    """The recorded bars: symbol, date, open, high, low, close, volume, prev_close."""
    folder = Path(str(files("finnhub_replay") / "data"))
    frame = pd.read_parquet(folder / "us5_daily_2000_2013.parquet").sort_values(["symbol", "date"])
    frame["day"] = pd.to_datetime(frame["date"]).dt.date
    frame["prev_close"] = frame.groupby("symbol")["close"].shift().fillna(frame["open"])
    return frame


def recorded_bars(first: date, last: date, symbols: Iterable[str] | None = None) -> list[Bar]:
    """The recorded bars of these dates."""
    frame = recorded()
    frame = frame[(frame["day"] >= first) & (frame["day"] <= last)]
    if symbols is not None:
        frame = frame[frame["symbol"].isin(list(symbols))]
    return [
        Bar(r.symbol, r.day, r.open, r.high, r.low, r.close, int(r.volume), r.prev_close) for r in frame.itertuples()
    ]


def epoch(instant: datetime) -> float:
    return instant.timestamp()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ── quotes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Poll:
    """One answer to /quote."""

    symbol: str
    c: float
    h: float
    l: float  # noqa: E741
    o: float
    pc: float
    t: datetime
    fetched_at: datetime

    def payload(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "c": self.c,
            "d": round(self.c - self.pc, 4),
            "dp": round((self.c / self.pc - 1) * 100, 4),
            "h": self.h,
            "l": self.l,
            "o": self.o,
            "pc": self.pc,
            "t": int(epoch(self.t)),
            "fetched_at": epoch(self.fetched_at),
        }


def polls_of(bar: Bar, *, every: int = 60, after_close: float = 5.0) -> list[Poll]:
    """A session polled every so many seconds: from open over the high and the low to the close, then once after it."""
    hours = session(bar.day)
    assert hours is not None, f"{bar.day} is no session"
    seconds = int((hours.close - hours.open).total_seconds())
    anchors = [(0, bar.open), (seconds // 3, bar.high), (2 * seconds // 3, bar.low), (seconds, bar.close)]
    polls = []
    high = low = bar.open
    for at in [*range(0, seconds, every), seconds]:
        price = _between(anchors, at)
        high = bar.high if at >= seconds // 3 else max(high, price)
        low = bar.low if at >= 2 * seconds // 3 else min(low, price)
        moment = hours.open + timedelta(seconds=at)
        fetched = moment + timedelta(seconds=after_close if at == seconds else 1)
        polls.append(Poll(bar.symbol, price, high, low, bar.open, bar.prev_close, moment, fetched))
    return polls


def _between(anchors: list[tuple[int, float]], at: int) -> float:
    for (t0, p0), (t1, p1) in pairwise(anchors):
        if at == t1:
            return p1
        if at < t1:
            return round(p0 + (p1 - p0) * (at - t0) / (t1 - t0), 2) if at > t0 else p0
    return anchors[-1][1]


def messages(
    polls: Iterable[Poll],
    *,
    run_id: str = "run",
    first_offset: int = 0,
    partition: int = 0,
    topic_id: str = "topic-1",
    source: str = "replay",
    seqs: Callable[[int], int] | None = None,
) -> list[bytes]:
    """Stream lines: one poll a message, seq contiguous per symbol."""
    counts: dict[str, int] = {}
    lines = []
    for number, poll in enumerate(polls):
        seq = counts.get(poll.symbol, 0)
        counts[poll.symbol] = seq + 1
        lines.append(
            orjson.dumps(
                {
                    "topic": "stock-quotes",
                    "topic_id": topic_id,
                    "partition": partition,
                    "offset": first_offset + number,
                    "timestamp": round(epoch(poll.fetched_at) * 1000),
                    "key": poll.symbol,
                    "headers": {"run_id": run_id, "seq": str(seqs(seq) if seqs else seq), "source": source},
                    "payload": poll.payload(),
                }
            )
        )
    return lines


def trade_messages(
    trades: Iterable[tuple[str, float, float, datetime]],
    *,
    run_id: str = "run",
    since: datetime | None = None,
    first_offset: int = 0,
    topic_id: str = "topic-t",
    partition: int = 0,
    seqs: Iterable[int] | None = None,
    fetched_at: datetime | None = None,
) -> list[bytes]:
    """Stream lines of trades: (symbol, price, volume, when), listened to ``since`` (default: a minute before the bell).

    They were fetched when they were traded, unless ``fetched_at`` says otherwise; seqs are contiguous by symbol.
    """
    counts: Counter[str] = Counter()
    given = iter(seqs) if seqs is not None else None
    lines = []
    for number, (symbol, price, volume, at) in enumerate(trades):
        counts[symbol] += 1
        hours = session(new_york_date(at))
        begun = since or (hours.open if hours else at) - timedelta(minutes=1)
        fetched = fetched_at or at
        lines.append(
            orjson.dumps(
                {
                    "topic": "stock-trades",
                    "topic_id": topic_id,
                    "partition": partition,
                    "offset": first_offset + number,
                    "timestamp": round(epoch(fetched) * 1000),
                    "key": symbol,
                    "headers": {
                        "run_id": run_id,
                        "seq": str(next(given) if given else counts[symbol]),
                        "source": "replay",
                    },
                    "payload": {
                        "s": symbol,
                        "p": price,
                        "v": volume,
                        "t": round(epoch(at) * 1000),
                        "c": ["1"],
                        "fetched_at": epoch(fetched),
                        "since": epoch(begun),
                    },
                }
            )
        )
    return lines


# ── history ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Split:
    symbol: str
    day: date
    from_factor: float
    to_factor: float


RECORDED_SPLITS = (
    Split("AAPL", date(2000, 6, 21), 1, 2),
    Split("MSFT", date(2003, 2, 18), 1, 2),
    Split("AAPL", date(2005, 2, 28), 1, 2),
)


def candles(
    bars: Iterable[Bar],
    fetched_at: datetime,
    *,
    splits: Iterable[Split] = (),
    data_source: str = "finnhub",
    source: str = "replay",
) -> list[bytes]:
    """History lines, split-adjusted as of the fetch like a source's answer."""
    lines = []
    for bar in bars:
        factor = 1.0
        for split in splits:
            if split.symbol == bar.symbol and bar.day < split.day <= fetched_at.date():
                factor *= split.to_factor / split.from_factor
        lines.append(
            orjson.dumps(
                {
                    "symbol": bar.symbol,
                    "date": bar.day.isoformat(),
                    "open": bar.open / factor,
                    "high": bar.high / factor,
                    "low": bar.low / factor,
                    "close": bar.close / factor,
                    "volume": bar.volume * factor,
                    "data_source": data_source,
                    "source": source,
                    "fetched_at": epoch(fetched_at),
                }
            )
        )
    return lines


def actions(
    symbols: Iterable[str],
    fetched_at: datetime,
    *,
    first: date = date(2000, 1, 1),
    splits: Iterable[Split] = (),
    checked: bool = True,
    source: str = "replay",
) -> list[bytes]:
    """Corporate action lines as they are known at ``fetched_at``: a check per symbol, and its splits up to then."""
    lines = []
    for symbol in symbols:
        base = {
            "symbol": symbol,
            "data_source": "finnhub",
            "source": source,
            "fetched_at": epoch(fetched_at),
            "from_factor": None,
            "to_factor": None,
            "amount": None,
            "checked_to": None,
        }
        if checked:
            lines.append(
                orjson.dumps(
                    base | {"kind": "checked", "date": first.isoformat(), "checked_to": fetched_at.date().isoformat()}
                )
            )
        for split in splits:
            if split.symbol == symbol and split.day <= fetched_at.date():
                lines.append(
                    orjson.dumps(
                        base
                        | {
                            "kind": "split",
                            "date": split.day.isoformat(),
                            "from_factor": split.from_factor,
                            "to_factor": split.to_factor,
                        }
                    )
                )
    return lines


def dividends(
    paid: dict[str, list[tuple[date, float]]],
    fetched_at: datetime,
    *,
    first: date = date(2000, 1, 1),
    checked: bool = True,
    data_source: str = "finnhub",
    source: str = "replay",
) -> list[bytes]:
    """Corporate action lines: each symbol's dividends by ex-date, and that they were asked for."""
    lines = []
    for symbol, amounts in paid.items():
        base = {"symbol": symbol, "data_source": data_source, "source": source, "fetched_at": epoch(fetched_at)}
        base |= dict.fromkeys(("from_factor", "to_factor", "amount", "checked_to"))
        asked = {"kind": "checked_dividends", "date": f"{first}", "checked_to": f"{fetched_at.date()}"}
        told = [{"kind": "dividend", "date": f"{day}", "amount": amount} for day, amount in amounts]
        lines += [orjson.dumps(base | line) for line in [*([asked] if checked else []), *told]]
    return lines


def profile(symbol: str, fetched_at: datetime, *, source: str = "replay", **fields: Any) -> bytes:
    """A company profile line."""
    about = {"name": f"{symbol} Inc", "exchange": "NASDAQ", "currency": "USD", "finnhubIndustry": "Technology"}
    about |= {"ipo": "1980-12-12", "shareOutstanding": 940.7} | fields
    return orjson.dumps(
        {
            "symbol": symbol,
            "profile": about,
            "data_source": "finnhub",
            "source": source,
            "fetched_at": epoch(fetched_at),
        }
    )


# ── objects ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def landed(dataset: str, lines: Iterable[bytes], *, name: str, hour: str = "2012-12-14T21") -> LandedObject:
    """An object of these lines, under a key of the lake's form."""
    data = b"\n".join(lines) + b"\n"
    return LandedObject(dataset, f"{dataset}/landed={hour}/{name}+0123456789ab.ndjson.gz", lambda: data)


def settings_in(home: Path, **more: str) -> Settings:
    """Settings of a warehouse of one's own."""
    return read_settings(environ={"STOCKS_HOME": str(home), "CLOSE_SETTLE_SECONDS": "0", **more})


def load(settings: Settings, *objects: LandedObject) -> Any:
    """Load objects into the warehouse of these settings."""
    warehouse = open_warehouse(settings)
    warehouse.initialise()
    return warehouse.load(objects)


def gold_hashes(settings: Settings, tables: Iterable[str] | None = None) -> dict[str, str]:
    """The ordered SHA-256 of each published gold table."""
    import hashlib

    warehouse = open_warehouse(settings)
    names = warehouse.query("select table_name from duckdb_tables() where schema_name = 'gold' order by 1")
    hashes = {}
    for name in tables or names["table_name"]:
        rows = warehouse.query(f"select cast(t as varchar) as line from gold.{name} as t order by 1")
        hashes[name] = hashlib.sha256("\n".join(rows["line"]).encode()).hexdigest()
    return hashes
