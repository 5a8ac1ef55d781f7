{# What a source was asked about a symbol's splits or dividends: one row per asking, every version. #}
{% macro action_checks(kind) -%}
with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}
    where load_id > {{ since_load() }}
        and kind = '{{ kind }}' and {{ action_fault() }} is null and action_date <= checked_to

),

checks as (

    select
        symbol,
        action_date as checked_from,
        checked_to,
        {{ action_source() }} as data_source,
        fetched_at,
        object_key,
        line_no,
        load_id
    from landed

)

select * from checks
{%- endmacro %}


{# Whose fact it is. A line that does not say is its sender's. #}
{% macro action_source() -%}
    coalesce(data_source, source, 'unknown')
{%- endmacro %}


{# An answer that lacks several known facts is believed when another one, a day later, agrees. A schedule is some
   minutes early or late. #}
{% macro a_day_after(instant) -%}
    {{ add_seconds(instant, 86400 - 1800) }}
{%- endmacro %}


{# The texts of a group as one, in order: to see whether two groups hold the same. #}
{% macro text_of_group(expression, order_by) -%}
    {{ adapter.dispatch("text_of_group")(expression, order_by) }}
{%- endmacro %}

{% macro duckdb__text_of_group(expression, order_by) -%}
    string_agg({{ expression }}, ' ' order by {{ order_by }})
{%- endmacro %}

{% macro snowflake__text_of_group(expression, order_by) -%}
    listagg({{ expression }}, ' ') within group (order by {{ order_by }})
{%- endmacro %}


{# Whether two rows have the same values in these columns ("symbol, kind"). #}
{% macro same(left, right, columns) -%}
    {%- for column in columns.split(", ") -%}
        {{ left }}.{{ column }} = {{ right }}.{{ column }}{{ " and " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
