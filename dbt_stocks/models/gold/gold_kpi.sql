with daily as (

    select * from {{ ref("fact_daily_stock_quotes") }}

),

performance as (

    select symbol, quote_date, ytd_return_percent from {{ ref("fact_stock_performance") }}

),

-- when a day's close was true, and when it was learned
told as (

    select symbol, quote_date, data_source, as_of, last_fetched_at as fetched_at, prev_close
    from {{ ref("int_daily_bars") }}
    union all
    select
        h.symbol,
        h.quote_date,
        h.data_source,
        least(s.session_close, h.fetched_at),
        h.fetched_at,
        null
    from {{ ref("stg_historical_quotes_cleaned") }} as h
    inner join {{ ref("stg_trading_sessions") }} as s on h.quote_date = s.calendar_date

),

last_days as (

    select symbol, max(quote_date) as quote_date from daily
    group by symbol

),

last_two as (

    select
        d.*,
        lag(d.close_price / d.split_factor) over (partition by d.symbol order by d.quote_date) * d.split_factor
            as close_before
    from daily as d
    inner join last_days as l on d.symbol = l.symbol and d.quote_date >= {{ add_days("l.quote_date", -30) }}
    qualify row_number() over (partition by d.symbol order by d.quote_date desc) = 1

),

-- a quote says itself what the close before was
compared as (

    select
        d.symbol,
        d.quote_date,
        d.close_price as current_price,
        {{ as_price("coalesce(t.prev_close, d.close_before)") }} as close_before,
        t.as_of,
        t.fetched_at
    from last_two as d
    inner join told as t
        on d.symbol = t.symbol and d.quote_date = t.quote_date and d.data_source = t.data_source

),

kpi as (

    select
        c.symbol,
        c.current_price,
        cast(c.current_price - c.close_before as {{ price_type() }}) as change_amount,
        {{ as_percent(quotient("c.current_price", "c.close_before") ~ " - 1") }}
            as change_percent,
        p.ytd_return_percent,
        c.as_of,
        c.fetched_at
    from compared as c
    left join performance as p on c.symbol = p.symbol and c.quote_date = p.quote_date

)

select * from kpi
