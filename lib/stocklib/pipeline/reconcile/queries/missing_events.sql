-- (object, line, event, topic, partition, offset) of RAW rows whose event is not among silver's events of the loads
-- after `known_since`.
with sightings as (
    select *, {event} as event_id from bronze.stg_{stream.dataset}_raw where {span.condition} and load_id <= {span.upto}
)
select object_key, line_no, event_id, kafka_topic, kafka_partition, kafka_offset
from sightings
where event_id not in (select event_id from {stream.events} where load_id > {known_since})
order by object_key, line_no
limit {most}
