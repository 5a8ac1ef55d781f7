{# One home for the types and the rounding of numbers. #}

{% macro price_type() -%} decimal(18, 6) {%- endmacro %}

{% macro percent_type() -%} decimal(18, 6) {%- endmacro %}


{# A price that was computed: rounded once, here. #}
{% macro as_price(expression) -%}
    cast(round({{ expression }}, 6) as {{ price_type() }})
{%- endmacro %}


{# A ratio as percent: 0.0123 becomes 1.23. Rounded once, here. #}
{% macro as_percent(ratio) -%}
    cast(round(({{ ratio }}) * 100, 6) as {{ percent_type() }})
{%- endmacro %}


{% macro as_double(expression) -%}
    cast({{ expression }} as double)
{%- endmacro %}


{# The product of a group's factors. #}
{% macro product(expression) -%}
    {{ adapter.dispatch("product")(expression) }}
{%- endmacro %}

{% macro default__product(expression) -%}
    round(exp(sum(ln({{ expression }}))), 9)
{%- endmacro %}

{% macro duckdb__product(expression) -%}
    product({{ expression }})
{%- endmacro %}
