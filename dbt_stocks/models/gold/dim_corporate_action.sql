with actions as (

    select * from {{ ref("stg_corporate_actions_cleaned") }}

),

later_splits as (

    select
        d.symbol,
        d.action_date,
        {{ product("s.to_factor") }} / {{ product("s.from_factor") }} as split_factor
    from actions as d
    inner join actions as s
        on d.symbol = s.symbol
        and s.kind = 'split'
        and s.action_date > d.action_date
        and s.action_date <= {{ new_york_date("d.fetched_at") }}
    where d.kind = 'dividend' and d.split_adjusted
    group by d.symbol, d.action_date

),

-- a dividend is what was paid on a share of that day
as_paid as (

    select
        a.symbol,
        a.action_date as date,
        a.kind,
        a.from_factor,
        a.to_factor,
        {{ as_price("a.amount * coalesce(s.split_factor, 1)") }} as amount
    from actions as a
    left join later_splits as s
        on a.symbol = s.symbol and a.action_date = s.action_date and a.kind = 'dividend'

)

select * from as_paid
