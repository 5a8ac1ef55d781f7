"""What ``stocklib.prices`` takes for 500 symbols × 10 years, against the same rows asked of DuckDB alone.

    .venv/bin/python benchmarks/prices.py [--symbols 500] [--sessions 2520] [--rounds 7]

DuckDB alone: open the file, ask one SQL question that divides by the split factor and orders the rows, and take the
answer into pandas, its own way (``.df()``) and by way of Arrow, which is quicker. ``prices`` also looks the symbols up
and names the version. Each round takes all of them in turn; prints ratios of medians measured in one run.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
from record import record

from stocklib import market
from stocklib.settings import read_settings

MAKE = """
create schema gold; create schema ops;
create table ops.builds as
    select 1 as load_id, 'benchmark' as logic, '' as inputs, timestamp '2012-12-14' as finished_at;
create table gold.dim_corporate_action as
    select 'S' || lpad(s::varchar, 5, '0') as symbol, date '2003-01-15' + (90 * q)::int as date, 'dividend' as kind,
        null::double as from_factor, null::double as to_factor, 0.25::decimal(18, 6) as amount
    from range({symbols}) as a(s), range({sessions} * 7 // 5 // 90) as b(q);
create table gold.fact_daily_stock_quotes as
    select 'S' || lpad(s::varchar, 5, '0') as symbol, date '2003-01-01' + (d * 7 // 5)::int as quote_date,
        (100 + 10 * random())::decimal(18, 6) as open_price, (110 + 10 * random())::decimal(18, 6) as high_price,
        (90 + 10 * random())::decimal(18, 6) as low_price, (100 + 10 * random())::decimal(18, 6) as close_price,
        (1e6 * random())::bigint as volume, 2.0::double as split_factor, 'yfinance' as data_source, true as is_final
    from range({symbols}) as a(s), range({sessions}) as b(d);
"""
ALONE = """
select symbol, quote_date::timestamp as date, open_price::double / split_factor as open,
    high_price::double / split_factor as high, low_price::double / split_factor as low,
    close_price::double / split_factor as close, volume::double * split_factor as volume, is_final, data_source
from gold.fact_daily_stock_quotes
order by symbol, quote_date
"""


def alone(path: Path, *, arrow: bool) -> pd.DataFrame:
    with duckdb.connect(str(path), read_only=True) as con:
        asked = con.sql(ALONE)
        return asked.to_arrow_table().to_pandas(split_blocks=True) if arrow else asked.df()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=2520)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        published = Path(home) / "warehouse" / "published.duckdb"
        published.parent.mkdir()
        with duckdb.connect(str(published)) as con:
            con.execute(MAKE.format(symbols=asked.symbols, sessions=asked.sessions))
        settings = read_settings(environ={"STOCKS_HOME": home})
        works: dict[str, Callable[[], object]] = {
            "DuckDB alone, .df()": lambda: alone(published, arrow=False),
            "DuckDB alone, Arrow": lambda: alone(published, arrow=True),
            "prices()": lambda: market.prices(settings=settings),
            'prices(adjust="total")': lambda: market.prices(adjust="total", settings=settings),
            'prices(wide="close")': lambda: market.prices(wide="close", settings=settings),
        }
        assert len(market.prices(settings=settings)) == asked.symbols * asked.sessions
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(asked.rounds):
            for name, work in works.items():
                times[name].append(seconds(work))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"{asked.symbols} symbols × {asked.sessions} sessions, medians of {asked.rounds} rounds")
    for name, taken in medians.items():
        ratios = [taken / medians[other] for other in list(works)[:2]]
        print(f"{name:<24} {taken:6.2f} s   {ratios[0]:5.2f} × .df()   {ratios[1]:5.2f} × Arrow")
    record({f"time: {other} / prices()": medians[other] / medians["prices()"] for other in list(works)[:2]})


if __name__ == "__main__":
    main()
