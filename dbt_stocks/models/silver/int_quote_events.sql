{{ config(unique_key=["event_id"], meta={"spans": "quote_date"}) }}

-- One row an event, however many messages and objects brought it, with the reason to quarantine it if there is one. A
-- message without our headers is an event of its own.
with landed as (

    select * from {{ ref("stg_stock_quotes_raw") }}
    where load_id > {{ since_load() }}

),

sessions as (

    select calendar_date, is_trading_day from {{ ref("stg_trading_sessions") }}

),

identified as (

    select
        * exclude (fetched_at),
        coalesce(fetched_at, record_timestamp) as fetched_at,
        {{ event_id() }} as event_id,
        coalesce(
            {{ new_york_date("market_timestamp") }}, {{ new_york_date("record_timestamp") }}, cast('1970-01-01' as date)
        ) as quote_date
    from landed

),

with_reason as (

    select
        i.*,
        case
            when i.symbol is null then 'symbol missing'
            when {{ is_malformed_symbol("i.symbol") }} then 'symbol malformed'
            when i.market_timestamp is null or i.fetched_at is null then 'time missing or not a number'
            when i.is_out_of_range then 'price out of range'
            when i.current_price is null or i.day_high is null or i.day_low is null or i.day_open is null
                or i.prev_close is null
                then 'price missing or not a number'
            when least(i.current_price, i.day_high, i.day_low, i.day_open, i.prev_close) <= 0
                then 'price not positive'
            when i.day_high < i.day_low then 'high below low'
            when i.market_timestamp > {{ add_seconds("i.fetched_at", 300) }} then 'from the future'
            when not coalesce(s.is_trading_day, false) then 'no session on this date'
        end as reject_reason
    from identified as i
    left join sessions as s on i.quote_date = s.calendar_date

),

new_events as (

    select
        event_id,
        symbol,
        quote_date,
        current_price,
        change_amount,
        change_percent,
        day_high,
        day_low,
        day_open,
        prev_close,
        market_timestamp,
        fetched_at,
        {{ event_origin() }}
    from with_reason

),

changed as (

    {{ first_sightings("new_events") }}

)

select * from changed
order by quote_date
