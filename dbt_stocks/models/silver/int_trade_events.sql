{{ config(unique_key=["event_id"], meta={"spans": "quote_date"}) }}

-- One row an event, however many messages and objects brought it, with the reason to quarantine it if there is one.
-- Equal trades are legitimate: only the event tells two of them apart.
with landed as (

    select * from {{ ref("stg_stock_trades_raw") }}
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
            when i.price is null then 'price missing or not a number'
            when i.price <= 0 then 'price not positive'
            when i.volume is null then 'volume missing or not a number'
            when i.volume < 0 then 'negative volume'
            when i.volume >= 1e12 then 'volume beyond all shares'
            when {{ as_double("i.price") }} * i.volume >= 1e18 then 'price times volume out of range'
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
        price,
        volume,
        conditions,
        market_timestamp,
        fetched_at,
        covered_since,
        {{ event_origin() }}
    from with_reason

),

changed as (

    {{ first_sightings("new_events") }}

)

select * from changed
order by quote_date
