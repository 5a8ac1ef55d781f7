{% set daily = ref("fact_daily_stock_quotes") %}
with kpi as (

    select * from {{ ref("gold_kpi") }}

),

symbols as (

    select * from {{ ref("dim_stock_symbols") }}

),

performance as (

    select symbol, quote_date, volatility_30day_percent from {{ ref("fact_stock_performance") }}

),

last_days as (

    select symbol, max(quote_date) as quote_date from {{ daily }}
    group by symbol

),

-- of a session in the last month: an older one has nothing to say about now
minutes as (

    select symbol, cast(candle_time as date) as quote_date, candle_close from {{ ref("gold_candlestick") }}
    where resolution = '1m'
        and candle_time >= {{ earliest_last_date(daily) }}

),

averages as (

    select
        m.symbol,
        {{ as_price(as_double("sum(m.candle_close)") ~ " / count(*)") }} as avg_price
    from minutes as m
    inner join last_days as l on m.symbol = l.symbol and m.quote_date = l.quote_date
    group by m.symbol

),

described as (

    select
        k.symbol,
        s.sector,
        cast(cast(s.shares_outstanding as decimal(20, 0)) * k.current_price as {{ wide_type() }}) as market_cap,
        a.avg_price,
        k.change_percent,
        k.last_bar_date,
        k.is_stale,
        p.volatility_30day_percent
    from kpi as k
    inner join symbols as s on k.symbol = s.symbol
    inner join last_days as l on k.symbol = l.symbol
    left join averages as a on k.symbol = a.symbol
    left join performance as p on k.symbol = p.symbol and l.quote_date = p.quote_date

),

compared as (

    select
        *,
        {%- set median = "median(case when not is_stale then volatility_30day_percent end) over ()" %}
        {{ as_wide(quotient("volatility_30day_percent", median)) }} as relative_volatility
    from described

)

select * from compared
