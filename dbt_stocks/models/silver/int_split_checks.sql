{{ config(unique_key=["symbol", "checked_from", "checked_to"]) }}

with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}
    where load_id > {{ since_load() }}
        and kind = 'checked' and symbol is not null and action_date is not null and checked_to is not null

),

distinct_ranges as (

    select
        symbol,
        action_date as checked_from,
        checked_to,
        min(load_id) as load_id
    from landed
    {% if is_incremental() %}
    where (symbol, action_date, checked_to) not in (select symbol, checked_from, checked_to from {{ this }})
    {% endif %}
    group by symbol, action_date, checked_to

)

select * from distinct_ranges
