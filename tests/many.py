"""Quotes by the million in RAW, made where they are to be: past sessions of the symbols, a quote every few seconds.

For benchmarks of what comes on top of them. What they say is what landed messages say; only the lake never saw them.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import duckdb

from stocklib.sessions import sessions
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

EVERY_SECONDS = 2

_LINES = """
insert into raw.stock_quotes
select
    cast(
        '{"topic":"stock-quotes","topic_id":"past","partition":' || partition
        || ',"offset":' || (load_id * 100000000 + number) || ',"timestamp":' || epoch || '000,"key":"' || symbol
        || '","headers":{"run_id":"past-' || day || '","seq":"' || seq || '","source":"replay"},"payload":{"c":'
        || price || ',"d":' || round(price - 100, 2) || ',"dp":' || round(price - 100, 2)
        || ',"h":' || high || ',"l":' || low
        || ',"o":100.0,"pc":100.0,"t":' || epoch || ',"symbol":"' || symbol || '","fetched_at":' || (epoch + 0.25)
        || '}}' as json
    ),
    'stock_quotes/landed=' || day || 'T21/stock-quotes+' || partition || '+past+000000000000.ndjson.gz',
    cast(number as integer), load_id, cast(day as timestamp)
from (
    select
        symbol, day, load_id, seq, number, partition, epoch, price,
        greatest(100.0, max(price) over so_far) as high, least(100.0, min(price) over so_far) as low
    from (
        select
            s.symbol, s.place % 3 as partition, d.day, d.load_id, t.seq,
            row_number() over (partition by d.day order by t.seq, s.place) as number,
            d.opened + t.seq * ? as epoch,
            round(100 + 5 * sin(t.seq / 700.0 + s.place) + (hash(t.seq, s.place, d.load_id) % 100) / 100.0, 2) as price
        from symbols as s cross join days as d cross join (select unnest(range(1, ? + 1)) as seq) as t
    )
    window so_far as (partition by symbol, day order by seq)
)
order by load_id, number
"""


def fill(settings: Settings, symbols: Sequence[str], *, rows: int, before: date) -> int:
    """Put at least so many quotes of the sessions before a date into RAW, a load a session; how many there are."""
    import pandas as pd

    warehouse = open_warehouse(settings)
    a_day = 23_400 // EVERY_SECONDS
    wanted = -(-rows // (a_day * len(symbols)))
    past = [s for s in sessions(date(before.year - 2, 1, 1), before) if s.session_date < before][-wanted:]
    # a small number is part of one session
    a_day = min(a_day, -(-rows // len(symbols)))
    frame = pd.DataFrame(
        {
            "day": [s.session_date.isoformat() for s in past],
            "opened": [int(s.open.timestamp()) for s in past],
            "load_id": range(1, len(past) + 1),
        }
    )
    warehouse.initialise()
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        names = pd.DataFrame({"symbol": list(symbols), "place": range(len(symbols))})
        con.register("symbols", names)
        for start in range(0, len(frame), 10):
            con.register("days", frame.iloc[start : start + 10])
            con.execute(_LINES, [EVERY_SECONDS, a_day])
        con.execute(
            "insert into raw.load_history select 'stock_quotes', object_key, load_id, count(*), count(*), 0, 0, "
            "min(loaded_at) from raw.stock_quotes group by object_key, load_id"
        )
        con.execute("insert into ops.warehouse_source values ('replayed', 'past')")
        con.execute(
            "insert into ops.freshness select 'stock_quotes', max(object_key), max(load_id), ? from raw.load_history",
            [datetime.now(UTC).replace(tzinfo=None)],
        )
        return int(con.execute("select count(*) from raw.stock_quotes").fetchall()[0][0])
