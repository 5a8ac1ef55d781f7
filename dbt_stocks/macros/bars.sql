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


{# The bars of `prints` of a resolution, one for each source. #}
{% macro bars_of_prints(prints, resolution, minutes) -%}
    select
        symbol,
        '{{ resolution }}' as resolution,
        {{ session_bucket("market_timestamp", "session_close", minutes) }} as candle_time,
        {{ minutes }} as minutes,
        quote_date,
        data_source,
        min_by(price, tick_no) as candle_open,
        max(price) as candle_high,
        min(price) as candle_low,
        max_by(price, tick_no) as candle_close,
        {{ as_shares("sum(volume)") }} as volume,
        {{ vwap("price", "volume") }} as vwap,
        count(*) as tick_count,
        max(feed_before) as feed_before,
        max(session_open) as session_open,
        max(session_close) as session_close
    from {{ prints }}
    group by 1, 2, 3, 4, 5, 6
{%- endmacro %}
