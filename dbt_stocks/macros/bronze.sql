{# What every landed message says of itself, apart from the fields of its payload. #}
{% macro message_columns() -%}
    {{ json_text("topic") }} as kafka_topic,
    {{ json_text("topic_id") }} as kafka_topic_id,
    {{ json_as("integer", "partition") }} as kafka_partition,
    {{ json_as("bigint", "offset") }} as kafka_offset,
    {{ json_instant("timestamp", per_second=1000) }} as record_timestamp,
    {{ json_text("headers.run_id") }} as run_id,
    {{ event_seq() }} as seq,
    {{ json_text("headers.source") }} as source,
    object_key,
    line_no,
    load_id,
    {{ json_text("payload") }} as payload
{%- endmacro %}


{# The number of an event, where a message has all of our headers. A foreign message has only its place as an identity.
   It is written in one way, so that no two texts are one event. #}
{% macro event_seq() -%}
    case
        when {{ json_text("headers.run_id") }} <> '' and {{ json_text("headers.source") }} <> ''
            and {{ json_as("bigint", "headers.seq") }} between 1 and 1000000000000
            and cast({{ json_as("bigint", "headers.seq") }} as varchar) = {{ json_text("headers.seq") }}
            then {{ json_as("bigint", "headers.seq") }}
    end
{%- endmacro %}


{# Whether a symbol is not in the form that the consumer lets in: the rule of stocklib.quotes.check_symbol. #}
{% macro is_malformed_symbol(symbol) -%}
    not {{ adapter.dispatch("matches")(
        "case when " ~ symbol ~ " like '^%' then substr(" ~ symbol ~ ", 2) else " ~ symbol ~ " end",
        "^[A-Z0-9][A-Z0-9.:=_-]{0,31}$"
    ) }}
{%- endmacro %}

{% macro duckdb__matches(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}

{% macro snowflake__matches(text, pattern) -%}
    regexp_like({{ text }}, '{{ pattern }}')
{%- endmacro %}


{# A daily bar as its source answered it; both history datasets hold the same record. #}
{% macro candle_columns() -%}
    {{ json_text("symbol") }} as symbol,
    {{ json_date("date") }} as quote_date,
    {{ json_as("double", "open") }} as open_price,
    {{ json_as("double", "high") }} as high_price,
    {{ json_as("double", "low") }} as low_price,
    {{ json_as("double", "close") }} as close_price,
    {{ json_as("double", "volume") }} as volume,
    {{ origin_columns() }}
{%- endmacro %}


{# Where a fetched record comes from: its source, when it was fetched, and its line in the lake. #}
{% macro origin_columns() -%}
    {{ json_text("data_source") }} as data_source,
    {{ json_text("source") }} as source,
    {{ json_instant("fetched_at") }} as fetched_at,
    object_key,
    line_no,
    load_id
{%- endmacro %}
