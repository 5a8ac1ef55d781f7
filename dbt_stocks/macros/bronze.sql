{# What every landed message says of itself, beside its payload. #}
{% macro message_columns() -%}
    {{ json_text("topic") }} as kafka_topic,
    {{ json_text("topic_id") }} as kafka_topic_id,
    {{ json_as("integer", "partition") }} as kafka_partition,
    {{ json_as("bigint", "offset") }} as kafka_offset,
    {{ json_instant("timestamp", per_second=1000) }} as record_timestamp,
    {{ json_text("headers.run_id") }} as run_id,
    {{ json_as("bigint", "headers.seq") }} as seq,
    {{ json_text("headers.source") }} as source,
    object_key,
    line_no,
    load_id,
    {{ json_text("payload") }} as payload
{%- endmacro %}


{# A daily bar as its source answered it; both history datasets hold the same record. #}
{% macro candle_columns() -%}
    {{ json_text("symbol") }} as symbol,
    {{ json_as("date", "date") }} as quote_date,
    {{ json_as("double", "open") }} as open_price,
    {{ json_as("double", "high") }} as high_price,
    {{ json_as("double", "low") }} as low_price,
    {{ json_as("double", "close") }} as close_price,
    {{ json_as("double", "volume") }} as volume,
    {{ json_text("data_source") }} as data_source,
    {{ json_text("source") }} as source,
    {{ json_instant("fetched_at") }} as fetched_at,
    object_key,
    line_no,
    load_id
{%- endmacro %}
