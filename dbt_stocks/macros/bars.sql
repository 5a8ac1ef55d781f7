{# The bucket of a print inside a session. One at the closing bell belongs to the session's last bar. #}
{% macro session_bucket(instant, session_close, minutes) -%}
    {{ bucket("least(" ~ instant ~ ", " ~ add_seconds(session_close, -1) ~ ")", minutes) }}
{%- endmacro %}


{# Volume-weighted average price; null without volume. Sums over decimals, which are exact; a large trade's product does
   not fit into the type of a price (silver refuses one of 1e18, so that a hundred million of them add up). Their
   quotient is a double: of prices that need all its digits it could leave the range of what it averages. #}
{% macro vwap(price, volume) -%}
    case
        when sum({{ volume }}) > 0
            then least(greatest(
                {{ as_price(
                    "cast(sum(" ~ price ~ " * cast(" ~ volume ~ " as decimal(38, 6))) as double)"
                    ~ " / nullif(cast(sum(cast(" ~ volume ~ " as " ~ price_type() ~ ")) as double), 0)"
                ) }},
                min({{ price }})
            ), max({{ price }}))
    end
{%- endmacro %}
