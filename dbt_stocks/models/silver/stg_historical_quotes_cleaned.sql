{{ config(unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}

with sessions as (

    select calendar_date, session_close from {{ ref("stg_trading_sessions") }}

),

versions as (

    select v.*, coalesce(h.company, v.symbol) as company
    from {{ ref("int_candle_versions") }} as v
    {{ join_holder("v.symbol", holder_day("v.quote_date", "v.data_source", "v.fetched_at")) }}
    where v.reject_reason is null

),

touched as (

    select distinct company, quote_date from versions
    where load_id > {{ since_load() }}

),

known as (

    select * from versions
    where quote_date in (select quote_date from touched)
        and (company, quote_date) in (select company, quote_date from touched)

),

latest as (

    select
        *,
        max(load_id) over (partition by company, quote_date) as touched_load_id
    from known
    qualify row_number() over (
        partition by company, quote_date order by fetched_at desc, dataset, object_key, line_no
    ) = 1

),

flagged as (

    select
        k.company as symbol,
        k.symbol as traded_symbol,
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
