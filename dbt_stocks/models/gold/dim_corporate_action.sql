with actions as (

    select
        symbol,
        action_date as date,
        kind,
        from_factor,
        to_factor,
        {{ as_price("amount") }} as amount
    from {{ ref("stg_corporate_actions_cleaned") }}
    where not is_retracted

)

select * from actions
