{{ config(unique_key=["symbol", "checked_from", "checked_to"]) }}

with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}
    where load_id > {{ since_load() }}
        and kind = 'checked' and symbol is not null and action_date is not null and checked_to is not null
        and fetched_at is not null

),

newest as (

    select
        symbol,
        action_date as checked_from,
        checked_to,
        max(fetched_at) as fetched_at,
        max(load_id) as load_id
    from landed
    group by symbol, action_date, checked_to

),

changed as (

    select n.*
    from newest as n
    {% if is_incremental() %}
    left join {{ this }} as k
        on n.symbol = k.symbol and n.checked_from = k.checked_from and n.checked_to = k.checked_to
    where k.symbol is null or k.fetched_at < n.fetched_at
    {% endif %}

)

select * from changed
