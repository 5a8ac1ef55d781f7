with actions as (

    select * from {{ ref("int_company_actions") }}
    where is_counted

),

-- several dividends of one ex-date are paid together
summed as (

    select
        symbol,
        action_date as date,
        kind,
        max(from_factor) as from_factor,
        max(to_factor) as to_factor,
        {{ as_price("sum(amount)") }} as amount,
        case when kind = 'dividend' then cast(count(*) as integer) end as payments
    from actions
    group by symbol, action_date, kind

)

select * from summed
