{# The splits of every symbol, for products of their factors. A date whose split was retracted counts 1:1 and is still
   there, so that what hung on it is found and computed anew. `actions`: silver's by symbol as it was asked for, or those
   of each company. #}
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
