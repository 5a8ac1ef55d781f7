{{ config(unique_key=["symbol", "quote_date", "data_source"], meta={"spans": "quote_date"}) }}
{% set since = since_load() %}

-- A day as its quotes, and as its trades, tell it.
with sessions as (

    select calendar_date, session_open, session_close from {{ ref("stg_trading_sessions") }}
    where is_trading_day

),

touched_by_quotes as (

    select distinct symbol, quote_date from {{ ref("stg_stock_quotes_cleaned") }}
    where load_id > {{ since }}

),

touched_by_trades as (

    select distinct symbol, quote_date from {{ ref("stg_stock_trades_cleaned") }}
    where load_id > {{ since }}

),

quotes_of_day as (

    select
        q.*,
        s.session_close,
        {{ session_bucket("q.market_timestamp", "s.session_close", 60) }} as hour_bucket,
        -- a state that contradicts itself makes no bar, and makes none final
        max(case when q.data_quality_flag <> 'outside_day_range' then q.last_fetched_at end) over (
            partition by q.symbol, q.quote_date
        ) as day_last_fetched_at,
        max(q.load_id) over (partition by q.symbol, q.quote_date) as day_load_id,
        sum(q.times_seen) over (partition by q.symbol, q.quote_date) as day_events
    from {{ ref("stg_stock_quotes_cleaned") }} as q
    inner join sessions as s on q.quote_date = s.calendar_date
    where q.quote_date in (select quote_date from touched_by_quotes)
        and (q.symbol, q.quote_date) in (select symbol, quote_date from touched_by_quotes)
        and q.market_timestamp >= s.session_open

),

-- the last quote says all four: what polling happened to miss, the source did not
bars_from_quotes as (

    select
        symbol,
        quote_date,
        'quotes' as data_source,
        day_open as open_price,
        day_high as high_price,
        day_low as low_price,
        current_price as close_price,
        -- of a quote that was seen on its own date: after it, a source rolls its close before over to the close itself
        first_value(
            case when data_quality_flag <> 'late' or prev_close <> current_price then prev_close end
        ) over (
            partition by symbol, quote_date
            order by
                case when data_quality_flag = 'late' then 1 else 0 end,
                market_timestamp desc,
                last_fetched_at desc,
                kafka_partition desc,
                kafka_offset desc,
                object_key,
                line_no
        ) as prev_close,
        cast(null as bigint) as volume,
        cast(null as {{ price_type() }}) as vwap,
        count(*) over (partition by symbol, quote_date) as tick_count,
        count(distinct case when market_timestamp <= session_close then hour_bucket end) over (
            partition by symbol, quote_date
        ) as hour_bars,
        day_events as event_count,
        market_timestamp as as_of,
        day_last_fetched_at as last_fetched_at,
        day_last_fetched_at >= {{ settled_after("session_close") }} as is_final,
        true as is_whole,
        day_load_id as load_id
    from quotes_of_day
    where data_quality_flag <> 'outside_day_range'
    qualify row_number() over (
        partition by symbol, quote_date
        order by
            market_timestamp desc, last_fetched_at desc, kafka_partition desc, kafka_offset desc, object_key, line_no
    ) = 1

),

trades_of_day as (

    {{ trade_prints("touched_by_trades", "sessions") }}

),

days_of_trades as (

    select
        symbol,
        quote_date,
        min_by(price, tick_no) as open_price,
        max(price) as high_price,
        min(price) as low_price,
        max_by(price, tick_no) as close_price,
        {{ as_shares("sum(volume)") }} as volume,
        {{ vwap("price", "volume") }} as vwap,
        count(*) as tick_count,
        count(distinct {{ session_bucket("market_timestamp", "session_close", 60) }}) as hour_bars,
        max(market_timestamp) as as_of,
        max(fetched_at) as last_fetched_at,
        max(session_open) as session_open,
        max(session_close) as session_close,
        max(feed_before) as feed_before,
        max(day_load_id) as load_id
    from trades_of_day
    group by symbol, quote_date

),

-- a day is whole when one stretch of listening reaches from before its open to its close
bars_from_trades as (

    select
        d.symbol,
        d.quote_date,
        'trades' as data_source,
        d.open_price,
        d.high_price,
        d.low_price,
        d.close_price,
        cast(null as {{ price_type() }}) as prev_close,
        d.volume,
        d.vwap,
        d.tick_count,
        d.hour_bars,
        d.tick_count as event_count,
        d.as_of,
        d.last_fetched_at,
        {{ has_settled("c.covered_until", settled_after("d.session_close"), "d.feed_before") }} as is_final,
        c.covered_until is not null as is_whole,
        d.load_id
    from days_of_trades as d
    left join {{ ref("int_trade_coverage") }} as c
        on d.symbol = c.symbol
        and d.quote_date = c.quote_date
        and c.covered_from < d.session_open
        and c.covered_until >= d.session_close

),

bars as (

    select * from bars_from_quotes
    union all
    select * from bars_from_trades

)

select * from bars
order by quote_date
