{# Quarantined rows, each with its reason: views, which no model reads. #}

{# Landed lines that are checked one by one. `columns` are shown; one of them is the `reason`. #}
{% macro refused_lines(landed, columns) -%}
with checked as (

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

select * from checked
where reason is not null
{%- endmacro %}


{# Quarantined events of a stream, with the message as it came. #}
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
