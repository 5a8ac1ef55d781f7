{# What the events of quotes and of trades share. #}

{# Where an event comes from, and why it is quarantined; a quarantined one keeps its message. #}
{% macro event_origin() -%}
    kafka_topic,
    kafka_topic_id,
    kafka_partition,
    kafka_offset,
    record_timestamp,
    run_id,
    seq,
    source,
    reject_reason,
    case when reject_reason is not null then coalesce(payload, 'null') end as payload,
    object_key,
    line_no,
    load_id
{%- endmacro %}


{# The events that are not in this table yet; of several messages with one event, the first. Which message is the first
   depends on the source's clock and on Kafka's order, never on when it was loaded. #}
{% macro first_sightings(new_events) -%}
    select * exclude (is_new) from (
        select * from (
            select *, true as is_new from {{ new_events }}
            {% if is_incremental() %}
            union all
            select *, false as is_new from {{ this }}
            where quote_date in (select quote_date from {{ new_events }})
                and event_id in (select event_id from {{ new_events }})
            {% endif %}
        ) as sightings
        qualify row_number() over (
            partition by event_id
            order by fetched_at, kafka_partition, kafka_offset, kafka_topic_id, object_key, line_no
        ) = 1
    ) as firsts
    where is_new
{%- endmacro %}
