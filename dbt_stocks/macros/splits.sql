{# The splits of every symbol, for products of their factors. One that was retracted counts 1:1 and is still there, so
   that what hung on it is found and computed anew. #}
{% macro all_splits() -%}
    select
        symbol,
        action_date,
        case when is_retracted then 1 else from_factor end as from_factor,
        case when is_retracted then 1 else to_factor end as to_factor,
        changed_load_id
    from {{ ref("stg_corporate_actions_cleaned") }}
    where kind = 'split'
{%- endmacro %}
