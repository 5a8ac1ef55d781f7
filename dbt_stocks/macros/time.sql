{# Timestamps hold UTC and no zone; a trading date is New York's. #}

{% macro now_utc() -%} {{ adapter.dispatch("now_utc")() }} {%- endmacro %}

{% macro duckdb__now_utc() -%} cast(now() at time zone 'UTC' as timestamp) {%- endmacro %}

{% macro snowflake__now_utc() -%} sysdate() {%- endmacro %}


{% macro epoch_to_timestamp(number, per_second=1) -%}
    {{ adapter.dispatch("epoch_to_timestamp")(number, per_second) }}
{%- endmacro %}

{# Outside of the years 1970 to 9999 it is no instant that we could have learned of. #}
{% macro duckdb__epoch_to_timestamp(number, per_second) -%}
    case
        when {{ number }} between 0 and {{ 253402300799 * per_second }}
            then make_timestamp(cast(round({{ number }} * {{ 1000000 // per_second }}) as bigint))
    end
{%- endmacro %}

{% macro snowflake__epoch_to_timestamp(number, per_second) -%}
    case
        when {{ number }} between 0 and {{ 253402300799 * per_second }}
            then to_timestamp_ntz(cast(round({{ number }} * {{ 1000000 // per_second }}) as bigint), 6)
    end
{%- endmacro %}


{% macro new_york_date(instant) -%} {{ adapter.dispatch("new_york_date")(instant) }} {%- endmacro %}

{% macro duckdb__new_york_date(instant) -%}
    cast(timezone('{{ var("time_zone") }}', timezone('UTC', {{ instant }})) as date)
{%- endmacro %}

{% macro snowflake__new_york_date(instant) -%}
    cast(convert_timezone('UTC', '{{ var("time_zone") }}', {{ instant }}) as date)
{%- endmacro %}


{# The start of the bucket of so many minutes, aligned to the UTC clock. #}
{% macro bucket(instant, minutes) -%} {{ adapter.dispatch("bucket")(instant, minutes) }} {%- endmacro %}

{% macro duckdb__bucket(instant, minutes) -%}
    time_bucket(interval {{ minutes }} minute, {{ instant }})
{%- endmacro %}

{% macro snowflake__bucket(instant, minutes) -%}
    time_slice({{ instant }}, {{ minutes }}, 'MINUTE')
{%- endmacro %}


{% macro add_seconds(instant, seconds) -%} {{ adapter.dispatch("add_seconds")(instant, seconds) }} {%- endmacro %}

{% macro duckdb__add_seconds(instant, seconds) -%}
    ({{ instant }} + to_microseconds(cast(({{ seconds }}) * 1000000.0 as bigint)))
{%- endmacro %}

{% macro snowflake__add_seconds(instant, seconds) -%}
    timestampadd(microsecond, cast(({{ seconds }}) * 1000000.0 as bigint), {{ instant }})
{%- endmacro %}


{# The date so many days after (before, when negative). #}
{% macro add_days(day, days) -%} cast({{ day }} + {{ days }} as date) {%- endmacro %}


{# When a session's prices have settled after its closing bell. #}
{% macro settled_after(session_close) -%}
    {{ add_seconds(session_close, var("close_settle_seconds")) }}
{%- endmacro %}


{% macro start_of_year_before(day) -%} {{ adapter.dispatch("start_of_year_before")(day) }} {%- endmacro %}

{% macro default__start_of_year_before(day) -%}
    cast(date_trunc('year', {{ day }}) - interval '1 year' as date)
{%- endmacro %}
