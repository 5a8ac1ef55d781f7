"""The ledger's queries to the warehouse's private version, in SQL for both engines.

Only the bronze views read JSON. An event's identity is that of silver: (run, symbol, seq), else the message's own
position. Rows that were loaded after the last complete build are waiting, not missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_SHOWN = 200
_EVENT = (
    "coalesce(run_id || '/' || symbol || '/' || seq, "
    "kafka_topic_id || '/' || kafka_partition || '/' || kafka_offset, object_key || '/' || line_no)"
)


@dataclass(frozen=True)
class Stream:
    """A dataset that comes through Kafka: its RAW table, its bronze view, and its events in silver.

    ``rejected`` is null in valid rows of ``events``; ``states`` is the table that counts its events in
    ``times_seen``, one row a state.
    """

    dataset: str
    landed: str
    events: str
    rejected: str
    states: str = ""


QUOTES = Stream(
    "stock_quotes",
    "bronze.stg_stock_quotes_raw",
    "silver.int_quote_events",
    "reject_reason",
    "silver.stg_stock_quotes_cleaned",
)
TRADES = Stream("stock_trades", "bronze.stg_stock_trades_raw", "silver.int_trade_events", "reject_reason")
STREAMS = (QUOTES, TRADES)


@dataclass(frozen=True)
class Span:
    """Which rows: loaded after ``since`` and not after ``upto``, of messages fetched on the UTC days of ``days``."""

    since: int = 0
    upto: int = 2**62
    days: tuple[Any, Any] | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition on a bronze view, and its parameters; the last complete build is not a bound here."""
        if self.days is None:
            return "load_id > ?", [self.since]
        return "load_id > ? and cast(record_timestamp as date) between ? and ?", [self.since, *self.days]


def movements(ask: Ask, stream: Stream, span: Span) -> list[tuple[Any, ...]]:
    """By topic, topic_id, partition, day, symbol: loaded, in silver, quarantined, duplicates, missing, not built."""
    where, params = span.where()
    return ask(
        f"""
        with sightings as (
            select *, {_EVENT} as event_id from {stream.landed} where {where}
        ),
        events as (
            select event_id, min(quote_date) as quote_date, min(object_key) as object_key, min(line_no) as line_no,
                min({stream.rejected}) as rejected
            from {stream.events}
            group by event_id
        ),
        classified as (
            select s.kafka_topic, s.kafka_topic_id, s.kafka_partition, s.symbol,
                coalesce(e.quote_date, cast(s.record_timestamp as date)) as quote_day,
                case
                    when e.event_id is null and s.load_id > ? then 'waiting'
                    when e.event_id is null then 'missing'
                    when e.object_key <> s.object_key or e.line_no <> s.line_no then 'duplicate'
                    when e.rejected is not null then 'quarantined'
                    else 'in silver'
                end as state
            from sightings as s
            left join events as e on s.event_id = e.event_id
        )
        select kafka_topic, kafka_topic_id, kafka_partition, quote_day, symbol, count(*),
            sum(case when state = 'in silver' then 1 else 0 end),
            sum(case when state = 'quarantined' then 1 else 0 end),
            sum(case when state = 'duplicate' then 1 else 0 end),
            sum(case when state = 'missing' then 1 else 0 end),
            sum(case when state = 'waiting' then 1 else 0 end)
        from classified
        group by kafka_topic, kafka_topic_id, kafka_partition, quote_day, symbol
        order by kafka_topic, kafka_topic_id, kafka_partition, quote_day, symbol
        """,  # noqa: S608 - names of our own
        [*params, span.upto],
    )


def missing_events(ask: Ask, stream: Stream, span: Span, *, among: str = "") -> list[tuple[Any, ...]]:
    """(object, line, event, topic, partition, offset) of RAW rows whose event silver does not have.

    ``among`` restricts the events of silver.
    """
    where, params = span.where()
    return ask(
        f"""
        with sightings as (
            select *, {_EVENT} as event_id from {stream.landed} where {where} and load_id <= ?
        )
        select object_key, line_no, event_id, kafka_topic, kafka_partition, kafka_offset
        from sightings
        where event_id not in (select event_id from {stream.events} {among})
        order by object_key, line_no
        limit {_SHOWN}
        """,  # noqa: S608
        [*params, span.upto],
    )


def doubled_events(ask: Ask, stream: Stream) -> list[tuple[Any, ...]]:
    """(event, times) of events that silver has more than once."""
    return ask(
        f"select event_id, count(*) from {stream.events} group by event_id having count(*) > 1 "  # noqa: S608
        f"order by event_id limit {_SHOWN}",
        [],
    )


def miscounted_states(ask: Ask, stream: Stream, span: Span) -> list[tuple[Any, ...]]:
    """(symbol, day, events, events that the states count) where the two differ."""
    if not stream.states:
        return []
    return ask(
        f"""
        with touched as (
            select min(quote_date) as first_day, max(quote_date) as last_day
            from {stream.events} where load_id > ? and load_id <= ?
        ),
        events as (
            select symbol, quote_date, count(distinct event_id) as found, max(load_id) as load_id
            from {stream.events}
            where {stream.rejected} is null
                and quote_date between (select first_day from touched) and (select last_day from touched)
            group by symbol, quote_date
        ),
        states as (
            select traded_symbol as symbol, quote_date, sum(times_seen) as counted, max(load_id) as load_id
            from {stream.states}
            where quote_date between (select first_day from touched) and (select last_day from touched)
            group by traded_symbol, quote_date
        )
        select coalesce(e.symbol, s.symbol), coalesce(e.quote_date, s.quote_date),
            coalesce(e.found, 0), coalesce(s.counted, 0)
        from events as e
        full outer join states as s on e.symbol = s.symbol and e.quote_date = s.quote_date
        where coalesce(e.found, 0) <> coalesce(s.counted, 0) and coalesce(e.load_id, s.load_id) <= ?
        order by 2, 1
        limit {_SHOWN}
        """,  # noqa: S608
        [span.since, span.upto, span.upto],
    )


def offset_ranges(ask: Ask, stream: Stream, span: Span) -> list[tuple[Any, ...]]:
    """(topic, topic_id, partition, first, last) of the offsets that RAW holds without a gap."""
    return _islands(ask, stream, span, "kafka_topic, kafka_topic_id, kafka_partition", "kafka_offset")


def seq_ranges(ask: Ask, stream: Stream, span: Span) -> list[tuple[Any, ...]]:
    """(run, symbol, first, last) of the seqs that RAW holds without a gap."""
    return _islands(ask, stream, span, "run_id, symbol", "seq")


def _islands(ask: Ask, stream: Stream, span: Span, key: str, number: str) -> list[tuple[Any, ...]]:
    where, params = span.where()
    present = " and ".join(f"{name} is not null" for name in (*key.split(", "), number))
    return ask(
        f"""
        with numbers as (
            select distinct {key}, {number} from {stream.landed}
            where {where} and {present}
        ),
        numbered as (
            select *, {number} - row_number() over (partition by {key} order by {number}) as island from numbers
        )
        select {key}, min({number}), max({number}) from numbered group by {key}, island
        """,  # noqa: S608
        params,
    )


def first_of_gaps(ask: Ask, stream: Stream, span: Span) -> list[tuple[Any, ...]]:
    """(run, symbol, last seq before, seq) of new events whose predecessor silver does not have."""
    starts = ask(
        f"""
        with fresh as (
            select distinct run_id, symbol, seq from {stream.events}
            where load_id > ? and run_id is not null and symbol is not null and seq is not null
        ),
        starts as (
            select f.run_id, f.symbol, f.seq
            from fresh as f
            left join fresh as p on f.run_id = p.run_id and f.symbol = p.symbol and f.seq = p.seq + 1
            where p.seq is null and f.seq > 1
        )
        select s.run_id, s.symbol, s.seq
        from starts as s
        left join {stream.events} as e on s.run_id = e.run_id and s.symbol = e.symbol and s.seq = e.seq + 1
        where e.seq is null
        order by 1, 2, 3
        limit {_SHOWN}
        """,  # noqa: S608
        [span.since],
    )
    # the size of a gap is queried only where there is one
    before = f"select coalesce(max(seq), 0) from {stream.events} where run_id = ? and symbol = ? and seq < ?"  # noqa: S608
    return [(run_id, symbol, ask(before, [run_id, symbol, seq])[0][0], seq) for run_id, symbol, seq in starts]


def count_of_run(ask: Ask, stream: Stream, run_id: str, symbol: str) -> int:
    """Return how many seqs of a run and symbol silver has."""
    asked = f"select count(distinct seq) from {stream.events} where run_id = ? and symbol = ?"  # noqa: S608
    return int(ask(asked, [run_id, symbol])[0][0])


def row_counts(ask: Ask, datasets: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return, by dataset, the number of loaded lines and of rows in RAW."""
    loaded: dict[str, Any] = dict(ask("select dataset, sum(loaded_lines) from raw.load_history group by dataset", []))
    return {
        name: (int(loaded.get(name) or 0), int(ask(f"select count(*) from raw.{name}", [])[0][0]))  # noqa: S608
        for name in datasets
    }


def miscounted_objects(ask: Ask, dataset: str) -> list[tuple[Any, ...]]:
    """(object, times loaded, lines that were loaded, rows in RAW, distinct lines in RAW) where these disagree."""
    return ask(
        f"""
        with remembered as (
            select object_key, count(*) as times, max(loaded_lines) as loaded_lines
            from raw.load_history where dataset = ? group by object_key
        ),
        there as (
            select object_key, count(*) as found, count(distinct line_no) as lines
            from raw.{dataset} group by object_key
        )
        select coalesce(r.object_key, t.object_key), coalesce(r.times, 0), coalesce(r.loaded_lines, 0),
            coalesce(t.found, 0), coalesce(t.lines, 0)
        from remembered as r
        full outer join there as t on r.object_key = t.object_key
        where coalesce(r.times, 0) <> 1 or coalesce(r.loaded_lines, 0) <> coalesce(t.found, 0)
            or coalesce(t.found, 0) <> coalesce(t.lines, 0)
        order by 1
        limit {_SHOWN}
        """,  # noqa: S608
        [dataset],
    )


def miscounted_rejects(ask: Ask) -> list[tuple[Any, ...]]:
    """(object, lines that were rejected, rows in rejected_lines) where the two differ."""
    return ask(
        f"""
        with remembered as (
            select object_key, max(rejected_lines) as rejected from raw.load_history group by object_key
        ),
        there as (
            select object_key, count(*) as found from raw.rejected_lines group by object_key
        )
        select coalesce(r.object_key, t.object_key), coalesce(r.rejected, 0), coalesce(t.found, 0)
        from remembered as r
        full outer join there as t on r.object_key = t.object_key
        where coalesce(r.rejected, 0) <> coalesce(t.found, 0)
        order by 1
        limit {_SHOWN}
        """,  # noqa: S608
        [],
    )


def loaded_keys(ask: Ask, dataset: str) -> list[str]:
    """Return every loaded object of a dataset."""
    return [row[0] for row in ask("select distinct object_key from raw.load_history where dataset = ?", [dataset])]


def line_numbers(ask: Ask, dataset: str, key: str) -> list[int]:
    """Return the line numbers of an object in RAW, with duplicates."""
    return [row[0] for row in ask(f"select line_no from raw.{dataset} where object_key = ?", [key])]  # noqa: S608
