{{ config(materialized="view", meta={"spans": "quote_date"}) }}

with events as (

    select * from {{ ref("int_trade_events") }}

),

admitted as (

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
        case when {{ new_york_date("fetched_at") }} > quote_date then 'late' else 'ok' end as data_quality_flag,
        kafka_topic,
        kafka_topic_id,
        kafka_partition,
        kafka_offset,
        run_id,
        seq,
        source,
        object_key,
        line_no,
        load_id
    from events
    where reject_reason is null

)

select * from admitted
