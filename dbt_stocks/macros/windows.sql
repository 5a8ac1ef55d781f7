{# Window figures that do not depend on where in a table a row stands: an engine adds floating numbers up in an order
   of its own, so sums are taken over decimals, which are exact.

   A symbol may lack the bar of a session. A mean takes the last so many bars that exist, within a limit of sessions;
   what is made of returns looks at sessions, whether each has a bar or not. #}

{% macro over_last(bars) -%}
    over (partition by symbol order by session_number rows between {{ bars - 1 }} preceding and current row)
{%- endmacro %}


{# How many sessions of a window may lack their bar: a tenth of them, rounded up. #}
{% macro holes_allowed(bars) -%} {{ (bars + 9) // 10 }} {%- endmacro %}


{# The mean of the last so many bars; null until there are so many, and when they span too many sessions. #}
{% macro moving_average(column, bars) -%}
    case
        when count({{ column }}) {{ over_last(bars) }} = {{ bars }}
            and session_number - min(session_number) {{ over_last(bars) }} < {{ bars }} + {{ holes_allowed(bars) }}
            then {{ as_wide(as_double("sum(" ~ column ~ ") " ~ over_last(bars)) ~ " / " ~ bars) }}
    end
{%- endmacro %}


{# The sample standard deviation (ddof 1) of the values of the last so many sessions, a row each; null when more of
   them than allowed are missing. #}
{% macro moving_stddev(column, bars) -%}
    {{ adapter.dispatch("moving_stddev")(column, bars) }}
{%- endmacro %}

{% macro default__moving_stddev(column, bars) -%}
    case
        when count({{ column }}) {{ over_last(bars) }} >= {{ bars }} - {{ holes_allowed(bars) }}
            then stddev_samp(cast({{ column }} as double)) {{ over_last(bars) }}
    end
{%- endmacro %}

{# (Σx² − (Σx)²/n) / (n − 1), with both sums exact. #}
{% macro duckdb__moving_stddev(column, bars) -%}
    {%- set number = "count(" ~ column ~ ") " ~ over_last(bars) -%}
    case
        when {{ number }} >= {{ bars }} - {{ holes_allowed(bars) }}
            then sqrt(greatest(
                (
                    cast(sum({{ column }} * {{ column }}) {{ over_last(bars) }} as double)
                    - power(cast(sum({{ column }}) {{ over_last(bars) }} as double), 2) / {{ number }}
                ) / ({{ number }} - 1),
                0
            ))
    end
{%- endmacro %}


{% macro over_last_candles(bars) -%}
    over (partition by symbol, resolution order by candle_time rows between {{ bars - 1 }} preceding and current row)
{%- endmacro %}


{# The mean close of the last so many candles, on the basis of the candle itself; null until there are so many, and
   where daily ones span too many sessions. #}
{% macro trend_line(bars) -%}
    case
        when count(adjusted_close) {{ over_last_candles(bars) }} = {{ bars }}
            and (
                resolution <> '1d'
                or session_number - min(session_number) {{ over_last_candles(bars) }}
                < {{ bars }} + {{ holes_allowed(bars) }}
            )
            then {{ as_price(
                as_double("sum(adjusted_close) " ~ over_last_candles(bars))
                ~ " / " ~ bars ~ " * split_factor"
            ) }}
    end
{%- endmacro %}
