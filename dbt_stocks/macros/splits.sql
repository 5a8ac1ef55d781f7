{# The splits of every symbol, for products of their factors. A date whose split was retracted counts 1:1 and is still
   there, so that what depended on it is found and computed again. `actions`: silver's by symbol as it was asked for, or
   those of each company. #}
{% macro all_splits(actions="int_company_actions") -%}
    select
        symbol,
        action_date,
        coalesce(max(case when is_counted then from_factor end), 1) as from_factor,
        coalesce(max(case when is_counted then to_factor end), 1) as to_factor,
        max(changed_load_id) as changed_load_id
    from {{ ref(actions) }}
    where kind = 'split'
    group by symbol, action_date
{%- endmacro %}


{# By how much the later `splits` divide the prices of each of the `days` (symbol, quote_date), where there are any;
   with `since` also whether one of them came with a later load. #}
{% macro split_factors(days, splits, since=none) -%}
    select
        d.symbol,
        d.quote_date,
        {{ product("s.to_factor") }} / {{ product("s.from_factor") }} as split_factor
        {%- if since is not none %},
        max(s.changed_load_id) > {{ since }} as is_new_split
        {%- endif %}
    from {{ days }} as d
    inner join {{ splits }} as s on d.symbol = s.symbol and s.action_date > d.quote_date
    group by d.symbol, d.quote_date
{%- endmacro %}
