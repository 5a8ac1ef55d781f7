{# Fields of a RAW record, by their path. A value that is not what it should be becomes null: silver judges it. #}

{% macro json_text(path, record="record") -%}
    {{ adapter.dispatch("json_text")(path, record) }}
{%- endmacro %}

{% macro duckdb__json_text(path, record) -%}
    ({{ record }} ->> '$.{{ path }}')
{%- endmacro %}

{% macro snowflake__json_text(path, record) -%}
    {{ record }}:{{ path }}::varchar
{%- endmacro %}


{% macro json_as(type, path) -%}
    try_cast({{ json_text(path) }} as {{ type }})
{%- endmacro %}


{# A date as ours are written, of the years 1 to 9999: engines cast 'infinity' and other calendars' ends as well, and no
   day is added to these. #}
{% macro json_date(path) -%}
    case
        when {{ adapter.dispatch("matches")(json_text(path), "^[0-9]{4}-[0-9]{2}-[0-9]{2}$") }}
            then {{ json_as("date", path) }}
    end
{%- endmacro %}


{# Prices go through double: sources write 438.1799, 4.381799e2 and 438.17990000000003, and mean the same. #}
{% macro json_price(path) -%}
    {{ adapter.dispatch("json_price")(path) }}
{%- endmacro %}

{% macro duckdb__json_price(path) -%}
    try_cast(try_cast({{ json_text(path) }} as double) as {{ price_type() }})
{%- endmacro %}

{% macro snowflake__json_price(path) -%}
    try_to_decimal({{ json_text(path) }}, 18, 6)
{%- endmacro %}


{# Epoch seconds (fraction allowed) or milliseconds, as a UTC timestamp. #}
{% macro json_instant(path, per_second=1) -%}
    {{ epoch_to_timestamp("try_cast(" ~ json_text(path) ~ " as double)", per_second) }}
{%- endmacro %}
