{# One home for the types, the ranges and the rounding of numbers; docs/numbers.md has the table.

   No number ends a build: what an event says beyond these ranges is refused with a reason (macros/ranges.sql), and a
   figure that is computed is null where it does not fit into its type. #}

{# A price as traded: 0.000001 to below 1e12. The largest tables are made of them, and eighteen digits are one word. #}
{% macro price_type() -%} decimal(18, 6) {%- endmacro %}

{# What has no such bound: adjusted prices (after many reverse splits), market values, percents. Below 1e30, so that a
   sum over any window still fits into 38 digits. #}
{% macro wide_type() -%} decimal(36, 6) {%- endmacro %}


{# Rounded once; null where it does not fit into that many digits, `scale` of them after the point. Not a cast that
   fails: infinite, or too large, is one row's matter. #}
{% macro rounded(expression, precision, scale) -%}
    {{ adapter.dispatch("rounded")(expression, precision, scale) }}
{%- endmacro %}

{% macro duckdb__rounded(expression, precision, scale) -%}
    try_cast(round({{ expression }}, {{ scale }}) as decimal({{ precision }}, {{ scale }}))
{%- endmacro %}

{# try_cast() takes texts only there #}
{% macro default__rounded(expression, precision, scale) -%}
    case
        when abs({{ expression }}) < 1e{{ precision - scale }}
            then cast(round({{ expression }}, {{ scale }}) as decimal({{ precision }}, {{ scale }}))
    end
{%- endmacro %}


{# A price as traded that was computed. #}
{% macro as_price(expression) -%}
    {{ rounded(expression, 18, 6) }}
{%- endmacro %}


{# An adjusted price, or another figure without the bound of a price. #}
{% macro as_wide(expression) -%}
    {{ rounded(expression, 36, 6) }}
{%- endmacro %}


{# A ratio as percent: 0.0123 becomes 1.23. #}
{% macro as_percent(ratio) -%}
    {{ as_wide("(" ~ ratio ~ ") * 100") }}
{%- endmacro %}


{# Whole shares, below 1e18. #}
{% macro as_shares(expression) -%}
    cast({{ rounded(expression, 18, 0) }} as bigint)
{%- endmacro %}


{% macro as_double(expression) -%}
    cast({{ expression }} as double)
{%- endmacro %}


{# One double by another; null where that is zero, which one engine calls infinite and the other an error. #}
{% macro quotient(dividend, divisor) -%}
    {{ as_double(dividend) }} / nullif({{ as_double(divisor) }}, 0)
{%- endmacro %}


{# The product of a group's factors, within what a double can be divided by and multiplied with. #}
{% macro product(expression) -%}
    {{ adapter.dispatch("product")(expression) }}
{%- endmacro %}

{% macro default__product(expression) -%}
    case
        when abs(sum(ln({{ expression }}))) < 14 then round(exp(sum(ln({{ expression }}))), 9)
        else exp(least(greatest(sum(ln({{ expression }})), -345), 345))
    end
{%- endmacro %}

{% macro duckdb__product(expression) -%}
    least(greatest(product({{ expression }}), 1e-150), 1e150)
{%- endmacro %}
