{% set same_state = "partition by symbol, market_timestamp, current_price, day_high, day_low, day_open, prev_close" %}
{{ config(unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}

-- Whole days of a symbol are computed again when an event of theirs is new. The events are named twice rather than
-- imported once: a shared import would be read as a whole.
with sessions as (

    select calendar_date, session_open, session_close from {{ ref("stg_trading_sessions") }}

),

touched as (

    select distinct symbol, quote_date from {{ ref("int_quote_events") }}
    where load_id > {{ since_load() }} and reject_reason is null

),

known as (

    select * from {{ ref("int_quote_events") }}
    where reject_reason is null
        and quote_date in (select quote_date from touched)
        and (symbol, quote_date) in (select symbol, quote_date from touched)

),

states as (

    select
        *,
        min(fetched_at) over ({{ same_state }}) as first_fetched_at,
        max(fetched_at) over ({{ same_state }}) as last_fetched_at,
        count(*) over ({{ same_state }}) as times_seen,
        max(load_id) over ({{ same_state }}) as touched_load_id,
        row_number() over (
            {{ same_state }}
            order by fetched_at, kafka_partition, kafka_offset, kafka_topic_id, object_key, line_no
        ) as sighting
    from known

),

flagged as (

    select
        coalesce(h.company, k.symbol) as symbol,
        k.symbol as traded_symbol,
        k.quote_date,
        k.market_timestamp,
        k.current_price,
        k.change_amount,
        k.change_percent,
        k.day_high,
        k.day_low,
        k.day_open,
        k.prev_close,
        k.first_fetched_at,
        k.last_fetched_at,
        k.times_seen,
        case
            when k.current_price not between k.day_low and k.day_high
                or k.day_open not between k.day_low and k.day_high
                then 'outside_day_range'
            when {{ new_york_date("k.first_fetched_at") }} > k.quote_date then 'late'
            when k.first_fetched_at < s.session_close
                and k.first_fetched_at > {{ add_seconds("greatest(k.market_timestamp, s.session_open)", 900) }}
                then 'stale'
            else 'ok'
        end as data_quality_flag,
        k.kafka_topic,
        k.kafka_topic_id,
        k.kafka_partition,
        k.kafka_offset,
        k.record_timestamp,
        k.run_id,
        k.seq,
        k.source,
        k.object_key,
        k.line_no,
        k.touched_load_id as load_id
    from states as k
    inner join sessions as s on k.quote_date = s.calendar_date
    {{ join_holder("k.symbol", "k.quote_date") }}
    where k.sighting = 1

)

select * from flagged
order by quote_date
