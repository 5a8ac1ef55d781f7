{{ config(unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}

with sessions as (

    select calendar_date, session_close from {{ ref("stg_trading_sessions") }}

),

touched as (

    select distinct symbol, quote_date from {{ ref("int_candle_versions") }}
    where load_id > {{ since_load() }} and reject_reason is null

),

known as (

    select * from {{ ref("int_candle_versions") }}
    where reject_reason is null
        and quote_date in (select quote_date from touched)
        and (symbol, quote_date) in (select symbol, quote_date from touched)

),

latest as (

    select
        *,
        max(load_id) over (partition by symbol, quote_date) as touched_load_id
    from known
    qualify row_number() over (
        partition by symbol, quote_date order by fetched_at desc, dataset, object_key, line_no
    ) = 1

),

flagged as (

    select
        k.symbol,
        k.quote_date,
        k.open_price,
        k.high_price,
        k.low_price,
        k.close_price,
        k.volume,
        k.split_factor,
        k.data_source,
        k.fetched_at,
        k.fetched_at >= {{ settled_after("s.session_close") }} as is_final,
        case
            when k.is_widened then 'outside_day_range'
            when k.fetched_at < {{ settled_after("s.session_close") }} then 'stale'
            else 'ok'
        end as data_quality_flag,
        k.object_key,
        k.line_no,
        k.touched_load_id as load_id
    from latest as k
    inner join sessions as s on k.quote_date = s.calendar_date

)

select * from flagged
order by quote_date
