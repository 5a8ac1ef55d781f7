{# The checks of prices, corporate actions and profiles: the reason to quarantine a row, null where nothing is wrong. #}

{# Whether a positive number (a double) cannot be stored as a price: it is too large, or so small that six digits after
   the point would change it by more than a thousandth. #}
{% macro is_price_out_of_range(number) -%}
    ({{ number }} > 0 and ({{ number }} >= 1e12 or abs(round({{ number }}, 6) - {{ number }}) > {{ number }} / 1000))
{%- endmacro %}


{# The same of fields of a landed record. #}
{% macro json_is_price_out_of_range(paths) -%}
    coalesce(
        {%- for path in paths %}
        {{ is_price_out_of_range(json_as("double", path)) }}
        {%- if not loop.last %} or {% endif %}
        {%- endfor %},
        false
    )
{%- endmacro %}


{# Of a split, a dividend, or a record of asking. A split of more than one share to a billion, either way, is a mistake of
   its source. #}
{% macro action_fault() -%}
    case
        when symbol is null then 'symbol missing'
        when action_date is null then 'date missing'
        when fetched_at is null then 'time of fetching missing'
        when coalesce(kind, '') not in ('split', 'dividend', 'checked', 'checked_dividends') then 'kind unknown'
        when kind like 'checked%' and checked_to is null then 'end of asking missing'
        when kind = 'split' and (from_factor is null or to_factor is null) then 'factor missing or not a number'
        when kind = 'split' and (from_factor <= 0 or to_factor <= 0) then 'factor not positive'
        when kind = 'split'
            and (
                from_factor not between 1e-9 and 1e9
                or to_factor not between 1e-9 and 1e9
                or from_factor / to_factor not between 1e-9 and 1e9
            )
            then 'factor out of range'
        when kind = 'dividend' and amount is null then 'amount missing or not a number'
        when kind = 'dividend' and amount <= 0 then 'amount not positive'
        when kind = 'dividend' and {{ is_price_out_of_range("amount") }} then 'amount out of range'
    end
{%- endmacro %}


{# Of a company's profile. Sources answer a fund with no shares or zero shares: the number is unknown. #}
{% macro profile_fault() -%}
    case
        when symbol is null then 'symbol missing'
        when shares_outstanding_millions < 0 then 'negative shares outstanding'
        when shares_outstanding_millions > 0
            and (shares_outstanding_millions < 1e-6 or shares_outstanding_millions >= 1e12)
            then 'shares outstanding out of range'
    end
{%- endmacro %}
