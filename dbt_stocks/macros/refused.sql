{# What silver does not admit, each with its reason: views, which no model reads. #}

{# Landed lines that are judged as they stand, of which `columns` are shown: one of them is the `reason`. #}
{% macro refused_lines(landed, columns) -%}
with judged as (

    select
        {% for column in columns %}
        {{ column }},
        {% endfor %}
        data_source,
        fetched_at,
        object_key,
        line_no,
        load_id
    from {{ ref(landed) }}

)

select * from judged
where reason is not null
{%- endmacro %}


{# Events of a stream, with the message as it came. #}
{% macro refused_events(events) -%}
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
from {{ ref(events) }}
where reject_reason is not null
{%- endmacro %}
