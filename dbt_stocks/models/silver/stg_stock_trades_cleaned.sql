{{ config(materialized="view", meta={"spans": "quote_date"}) }}

with events as (

    select * from {{ ref("int_trade_events") }}

),

admitted as (

    select
        e.event_id,
        coalesce(h.company, e.symbol) as symbol,
        e.symbol as traded_symbol,
        e.quote_date,
        e.price,
        e.volume,
        e.conditions,
        e.market_timestamp,
        e.fetched_at,
        e.covered_since,
        case when {{ new_york_date("e.fetched_at") }} > e.quote_date then 'late' else 'ok' end as data_quality_flag,
        e.kafka_topic,
        e.kafka_topic_id,
        e.kafka_partition,
        e.kafka_offset,
        e.run_id,
        e.seq,
        e.source,
        e.object_key,
        e.line_no,
        e.load_id
    from events as e
    {{ join_holder("e.symbol", "e.quote_date") }}
    where e.reject_reason is null

)

select * from admitted
