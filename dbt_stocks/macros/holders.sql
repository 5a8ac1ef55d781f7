{# Who a symbol belonged to: a company keeps one name through its renames, that of its current symbol. #}

{# Join the holder of a symbol on a date: `h.company`, null where it is the symbol's own name. #}
{% macro join_holder(symbol, day) -%}
    left join {{ ref("int_symbol_holders") }} as h
        on {{ symbol }} = h.symbol and {{ day }} >= h.valid_from and {{ day }} < h.valid_to
{%- endmacro %}


{# Whose a fact of history is. Sources answer a symbol as it was traded on the day; Yahoo answers the whole history of
   the company that has the symbol when it is asked. #}
{% macro holder_day(day, data_source, fetched_at) -%}
    case when {{ data_source }} = 'yfinance' then {{ new_york_date(fetched_at) }} else {{ day }} end
{%- endmacro %}
