"""A published warehouse made straight from the recorded bars, for tests of what only reads gold.

It has the tables and columns of gold that readers use, with figures computed here in SQL and, for the last session, a
plain made-up path from open over low and high to close as its minutes. That dbt makes the same tables from landed
objects is shown elsewhere.
"""

from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb
import pandas as pd

from stocklib.settings import Settings, read_settings
from stocklib.warehouse import Build, open_warehouse

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
FIRST, LAST = date(2011, 12, 30), date(2012, 12, 14)


@cache
def recorded_bars() -> pd.DataFrame:
    """Every recorded daily bar as traded: symbol, date, open, high, low, close, volume."""
    frame = pd.read_parquet(data_folder() / "us5_daily_2000_2013.parquet")
    return frame.assign(date=pd.to_datetime(frame["date"]))


def data_folder() -> Path:
    """Where the recorded data is shipped."""
    return Path(str(files("stocklib") / "embedded" / "replay" / "data"))


def publish_gold(home: Path, *, first: date = FIRST, last: date = LAST, kind: str = "replayed") -> Settings:
    """Publish the bars from ``first`` to ``last`` as gold under ``home``; the settings that read it."""
    settings = read_settings(environ={"STOCKS_HOME": str(home)})
    warehouse = open_warehouse(settings)
    warehouse.initialise()
    bars = recorded_bars()
    bars = bars[bars["date"].between(pd.Timestamp(first), pd.Timestamp(last))]
    splits = pd.read_csv(data_folder() / "splits.csv")
    with duckdb.connect(home / "warehouse" / "build.duckdb") as con:
        con.register("bars", bars)
        con.register("minutes", _minutes(bars[bars["date"] == bars["date"].max()]))
        con.register("companies", pd.read_csv(data_folder() / "companies.csv"))
        con.register("splits", splits[splits["date"] <= last.isoformat()])
        con.execute(_SQL)
        con.execute("insert into ops.warehouse_source values (?, 'made by a test')", [kind])
    warehouse.record_build(Build(1, "0123456789abcdef", "recorded", datetime(2012, 12, 15, tzinfo=UTC)))
    warehouse.publish()
    return settings


def _minutes(session: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for bar in session.itertuples():
        path = [(0, bar.open), (120, bar.low), (260, bar.high), (389, bar.close)]
        values = pd.Series(dict(path)).reindex(range(390)).interpolate().round(6)
        start = pd.Timestamp(bar.date) + pd.Timedelta(hours=14, minutes=30)
        rows += [
            {"symbol": bar.symbol, "candle_time": start + pd.Timedelta(minutes=n), "price": price}
            for n, price in values.items()
        ]
    return pd.DataFrame(rows)


_SQL = """
create schema gold; create schema silver;

create table gold.dim_corporate_action as
select ticker.symbol, cast(ticker.date as date) as date, 'split' as kind,
    fromFactor::double as from_factor, toFactor::double as to_factor, null::double as amount
from (select symbol, date, fromFactor, toFactor from splits) as ticker;

create table gold.fact_daily_stock_quotes as
with factors as (
    select b.symbol, b.date, coalesce(product(a.to_factor / a.from_factor), 1) as split_factor
    from bars as b left join gold.dim_corporate_action as a on a.symbol = b.symbol and a.date > b.date
    group by all
),
adjusted as (select b.*, f.split_factor, close / split_factor as adj from bars as b join factors as f using (symbol, date)),
changed as (select *, 100 * (adj / lag(adj) over (partition by symbol order by date) - 1) as change from adjusted)
select symbol, cast(date as date) as quote_date,
    open::decimal(18, 6) as open_price, high::decimal(18, 6) as high_price, low::decimal(18, 6) as low_price,
    close::decimal(18, 6) as close_price, volume, split_factor, change::decimal(18, 6) as daily_return_percent,
    case when change > 0 then 'up' when change < 0 then 'down' else 'flat' end as price_direction,
    'finnhub' as data_source, true as is_final
from changed order by 1, 2;

create table gold.fact_stock_performance as
with adjusted as (
    select symbol, quote_date, close_price::double / split_factor as adj, daily_return_percent::double / 100 as change,
        row_number() over (partition by symbol order by quote_date) as nth
    from gold.fact_daily_stock_quotes
)
select symbol, quote_date, adj::decimal(18, 6) as adj_close_price,
    case when nth >= 7 then avg(adj) over w7 end::decimal(18, 6) as ma_7day,
    case when nth >= 30 then avg(adj) over w30 end::decimal(18, 6) as ma_30day,
    case when nth >= 90 then avg(adj) over w90 end::decimal(18, 6) as ma_90day,
    (100 * (adj / base - 1))::decimal(18, 6) as ytd_return_percent, base_date as ytd_base_date,
    (100 * (adj / lag(adj, 30) over w - 1))::decimal(18, 6) as momentum_30day_percent,
    case when nth > 30 then 100 * sqrt(252) * stddev_samp(change) over w30 end::decimal(18, 6) as volatility_30day_percent,
    (100 * (adj / max(adj) over (w rows unbounded preceding) - 1))::decimal(18, 6) as drawdown_percent
from (
    select a.*, coalesce(
            (select max_by(b.adj, b.quote_date) from adjusted as b
                where b.symbol = a.symbol and year(b.quote_date) < year(a.quote_date)),
            (select min_by(b.adj, b.quote_date) from adjusted as b where b.symbol = a.symbol)) as base,
        coalesce(
            (select max(b.quote_date) from adjusted as b
                where b.symbol = a.symbol and year(b.quote_date) < year(a.quote_date)),
            (select min(b.quote_date) from adjusted as b where b.symbol = a.symbol)) as base_date
    from adjusted as a
)
window w as (partition by symbol order by quote_date),
    w7 as (partition by symbol order by quote_date rows 6 preceding),
    w30 as (partition by symbol order by quote_date rows 29 preceding),
    w90 as (partition by symbol order by quote_date rows 89 preceding)
order by 1, 2;

create table gold.gold_candlestick as
with made as (
    select symbol, resolution, time_bucket(width, candle_time) as candle_time,
        first(price order by candle_time) as o, max(price) as h, min(price) as l, last(price order by candle_time) as c,
        null::bigint as volume, avg(price) as vwap, count(*) as tick_count
    from minutes, (values ('1m', interval 1 minute), ('5m', interval 5 minute), ('1h', interval 1 hour)) as r(resolution, width)
    group by all
    union all
    select symbol, '1d', quote_date::timestamp, open_price, high_price, low_price, close_price, volume, null, null
    from gold.fact_daily_stock_quotes
)
select symbol, resolution, candle_time, o::decimal(18, 6) as candle_open, h::decimal(18, 6) as candle_high,
    l::decimal(18, 6) as candle_low, c::decimal(18, 6) as candle_close, volume, vwap::decimal(18, 6) as vwap, tick_count,
    null::decimal(18, 6) as trend_line, if(resolution = '1d', 'finnhub', 'quotes') as data_source, true as is_final
from made order by 1, 2, 3;

create table silver.dim_stock_symbols as
select c.ticker as symbol, c.name as company_name, c.exchange, c.sector, c.industry, c.currency, c.ipo::date as ipo_date,
    (c.shareOutstanding * 1e6)::bigint as shares_outstanding, min(q.quote_date) as first_quote_date,
    max(q.quote_date) as last_quote_date, count(*) as total_quotes
from companies as c join gold.fact_daily_stock_quotes as q on q.symbol = c.ticker group by all;

create table gold.gold_kpi as
with latest as (
    select *, lag(close_price) over (partition by symbol order by quote_date) as before
    from gold.fact_daily_stock_quotes
)
select l.symbol, close_price as current_price, close_price - before as change_amount,
    daily_return_percent as change_percent, ytd_return_percent,
    l.quote_date + interval 21 hour as as_of, l.quote_date + interval '21 hours 3 seconds' as fetched_at
from latest as l join gold.fact_stock_performance as p on p.symbol = l.symbol and p.quote_date = l.quote_date
qualify row_number() over (partition by l.symbol order by l.quote_date desc) = 1 order by 1;

create table gold.gold_treechart as
select k.symbol, d.sector, (k.current_price * d.shares_outstanding)::decimal(24, 2) as market_cap,
    (select avg(candle_close)::decimal(18, 6) from gold.gold_candlestick as c
        where c.symbol = k.symbol and c.resolution = '1m') as avg_price,
    k.change_percent, p.volatility_30day_percent,
    (p.volatility_30day_percent / median(p.volatility_30day_percent) over ())::decimal(18, 6) as relative_volatility
from gold.gold_kpi as k join silver.dim_stock_symbols as d using (symbol)
join gold.fact_stock_performance as p on p.symbol = k.symbol and p.quote_date = k.as_of::date order by 1;
"""
