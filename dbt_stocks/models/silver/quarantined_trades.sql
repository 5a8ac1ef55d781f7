{{ config(materialized="view", meta={"spans": "quote_date"}) }}

with events as (

    select * from {{ ref("int_trade_events") }}

),

rejected as (

    select
        event_id,
        symbol,
        quote_date,
        reject_reason as reason,
        payload,
        fetched_at,
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
    where reject_reason is not null

)

select * from rejected
