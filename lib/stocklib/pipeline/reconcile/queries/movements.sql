-- By topic, topic_id, partition, day, symbol: loaded, in silver, quarantined, duplicates, missing, not built. The day of a
-- message that silver lacks is the UTC hour of its record: its New York date depends on that alone.
with sightings as (
    select *, {event} as event_id from bronze.stg_{stream.dataset}_raw where {span.condition}
),
events as (
    select event_id, min(quote_date) as quote_date, min(object_key) as object_key, min(line_no) as line_no,
        min(reject_reason) as rejected
    from {stream.events}
    group by event_id
),
classified as (
    select s.kafka_topic, s.kafka_topic_id, s.kafka_partition, s.symbol,
        e.quote_date,
        case when e.quote_date is null then date_trunc('hour', s.record_timestamp) end as fetched_hour,
        case
            when e.event_id is null and s.load_id > {span.upto} then 'waiting'
            when e.event_id is null then 'missing'
            when e.object_key <> s.object_key or e.line_no <> s.line_no then 'duplicate'
            when e.rejected is not null then 'quarantined'
            else 'in silver'
        end as state
    from sightings as s
    left join events as e on s.event_id = e.event_id
)
select kafka_topic, kafka_topic_id, kafka_partition, quote_date, fetched_hour, symbol, count(*),
    sum(case when state = 'in silver' then 1 else 0 end),
    sum(case when state = 'quarantined' then 1 else 0 end),
    sum(case when state = 'duplicate' then 1 else 0 end),
    sum(case when state = 'missing' then 1 else 0 end),
    sum(case when state = 'waiting' then 1 else 0 end)
from classified
group by kafka_topic, kafka_topic_id, kafka_partition, quote_date, fetched_hour, symbol
order by kafka_topic, kafka_topic_id, kafka_partition, quote_date, fetched_hour, symbol
