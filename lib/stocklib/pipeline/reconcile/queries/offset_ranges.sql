-- (topic, topic_id, partition, first, last) of the offsets that RAW holds without a gap.
with numbers as (
    select distinct kafka_topic, kafka_topic_id, kafka_partition, kafka_offset
    from bronze.stg_{stream.dataset}_raw
    where {span.condition} and kafka_topic is not null and kafka_topic_id is not null
        and kafka_partition is not null and kafka_offset is not null
),
numbered as (
    select *, kafka_offset - row_number() over (
        partition by kafka_topic, kafka_topic_id, kafka_partition order by kafka_offset
    ) as island
    from numbers
)
select kafka_topic, kafka_topic_id, kafka_partition, min(kafka_offset), max(kafka_offset)
from numbered
group by kafka_topic, kafka_topic_id, kafka_partition, island
