{# Window figures that do not depend on where in a table a row stands: an engine adds floating numbers up in an order
   of its own, so sums are taken over decimals, which are exact. #}

{% macro over_last(bars) -%}
    over (partition by symbol order by quote_date rows between {{ bars - 1 }} preceding and current row)
{%- endmacro %}


{# The mean of the last so many bars; null until the window is full. #}
{% macro moving_average(column, bars) -%}
    case
        when count({{ column }}) {{ over_last(bars) }} = {{ bars }}
            then {{ as_wide(as_double("sum(" ~ column ~ ") " ~ over_last(bars)) ~ " / " ~ bars) }}
    end
{%- endmacro %}


{# The sample standard deviation (ddof 1) of the last so many values; null until the window is full. #}
{% macro moving_stddev(column, bars) -%}
    {{ adapter.dispatch("moving_stddev")(column, bars) }}
{%- endmacro %}

{% macro default__moving_stddev(column, bars) -%}
    case
        when count({{ column }}) {{ over_last(bars) }} = {{ bars }}
            then stddev_samp(cast({{ column }} as double)) {{ over_last(bars) }}
    end
{%- endmacro %}

{# (Σx² − (Σx)²/n) / (n − 1), with both sums exact. #}
{% macro duckdb__moving_stddev(column, bars) -%}
    case
        when count({{ column }}) {{ over_last(bars) }} = {{ bars }}
            then sqrt(greatest(
                (
                    cast(sum({{ column }} * {{ column }}) {{ over_last(bars) }} as double)
                    - power(cast(sum({{ column }}) {{ over_last(bars) }} as double), 2) / {{ bars }}
                ) / {{ bars - 1 }},
                0
            ))
    end
{%- endmacro %}


{% macro over_last_candles(bars) -%}
    over (partition by symbol, resolution order by candle_time rows between {{ bars - 1 }} preceding and current row)
{%- endmacro %}
