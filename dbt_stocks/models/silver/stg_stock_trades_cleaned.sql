{{ config(unique_key=["event_id"], meta={"spans": "quote_date"}) }}

-- Equal trades are legitimate: only the event tells two of them apart.
with landed as (

    select * from {{ ref("stg_stock_trades_raw") }}
    where load_id > {{ since_load() }}
        and symbol is not null and price > 0 and volume >= 0 and market_timestamp is not null

),

sessions as (

    select calendar_date, session_close from {{ ref("stg_trading_sessions") }}
    where is_trading_day

),

identified as (

    select
        coalesce(
            run_id || '/' || symbol || '/' || seq,
            kafka_topic_id || '/' || kafka_partition || '/' || kafka_offset,
            object_key || '/' || line_no
        ) as event_id,
        symbol,
        {{ new_york_date("market_timestamp") }} as quote_date,
        price,
        volume,
        conditions,
        market_timestamp,
        coalesce(fetched_at, record_timestamp, market_timestamp) as fetched_at,
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
    from landed

),

flagged as (

    select
        i.* exclude (kafka_topic, kafka_topic_id, kafka_partition, kafka_offset, run_id, seq, source, object_key,
            line_no, load_id),
        case when {{ new_york_date("i.fetched_at") }} > i.quote_date then 'late' else 'ok' end as data_quality_flag,
        i.kafka_topic,
        i.kafka_topic_id,
        i.kafka_partition,
        i.kafka_offset,
        i.run_id,
        i.seq,
        i.source,
        i.object_key,
        i.line_no,
        i.load_id
    from identified as i
    inner join sessions as s on i.quote_date = s.calendar_date

),

sightings as (

    select *, true as is_new from flagged
    {% if is_incremental() %}
    union all
    select *, false as is_new from {{ this }}
    where quote_date in (select quote_date from flagged)
        and event_id in (select event_id from flagged)
    {% endif %}

),

first_sightings as (

    select * from sightings
    qualify row_number() over (
        partition by event_id
        order by fetched_at, kafka_partition, kafka_offset, kafka_topic_id, object_key, line_no
    ) = 1

),

changed as (

    select * exclude (is_new) from first_sightings where is_new

)

select * from changed
order by quote_date
