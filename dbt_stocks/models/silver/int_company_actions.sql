{{ config(materialized="view") }}

-- The splits and dividends of each company, whatever its symbol was on their dates. A retracted split stays, so that
-- the models below compute again what depended on it.
with actions as (

    select
        coalesce(h.company, a.symbol) as symbol,
        a.action_date,
        a.kind,
        a.data_source,
        a.fact,
        a.fact_no,
        a.from_factor,
        a.to_factor,
        a.amount,
        a.is_counted,
        a.symbol as traded_symbol,
        a.fetched_at,
        a.changed_load_id
    from {{ ref("stg_corporate_actions_cleaned") }} as a
    {{ join_holder("a.symbol", holder_day("a.action_date", "a.data_source", "a.fetched_at")) }}

),

-- an action that is reported under two of its symbols counts once
newest as (

    select symbol, action_date, kind, max_by(traded_symbol, fetched_at) as traded_symbol from actions
    where is_counted
    group by symbol, action_date, kind

),

of_company as (

    select
        a.* exclude (fetched_at)
        replace (a.is_counted and a.traded_symbol = n.traded_symbol as is_counted)
    from actions as a
    left join newest as n on a.symbol = n.symbol and a.action_date = n.action_date and a.kind = n.kind

)

select * from of_company
