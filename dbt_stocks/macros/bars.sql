{# The bucket of a print inside a session. One at the closing bell belongs to the session's last bar. #}
{% macro session_bucket(instant, session_close, minutes) -%}
    {{ bucket("least(" ~ instant ~ ", " ~ add_seconds(session_close, -1) ~ ")", minutes) }}
{%- endmacro %}


{# Volume-weighted average price; null without volume. Sums over decimals, which are exact; a large trade's product does
   not fit into the type of a price. #}
{% macro vwap(price, volume) -%}
    {{ as_price(
        "cast(sum(" ~ price ~ " * cast(" ~ volume ~ " as decimal(38, 6))) as double)"
        ~ " / nullif(cast(sum(cast(" ~ volume ~ " as " ~ price_type() ~ ")) as double), 0)"
    ) }}
{%- endmacro %}
