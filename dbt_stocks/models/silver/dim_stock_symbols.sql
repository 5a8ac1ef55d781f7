{{ config(materialized="table") }}

with profiles as (

    select * from {{ ref("stg_company_profiles_raw") }}
    where {{ profile_fault() }} is null

),

-- a profile is of who had the symbol when it was asked for
companies as (

    select
        coalesce(h.company, p.symbol) as symbol,
        p.company_name,
        p.exchange,
        p.finnhub_industry,
        p.currency,
        p.ipo_date,
        p.shares_outstanding_millions
    from profiles as p
    {{ join_holder("p.symbol", new_york_date("p.fetched_at")) }}
    qualify row_number() over (
        partition by coalesce(h.company, p.symbol) order by p.fetched_at desc, p.object_key, p.line_no
    ) = 1

),

sectors as (

    select * from {{ ref("sectors") }}

),

changes as (

    -- those that the data has not come to: after its date, a company has its new name here
    select c.old as symbol, c.new as current_symbol
    from {{ ref("symbol_changes") }} as c
    left join {{ ref("int_symbol_holders") }} as h on c.old = h.symbol and c.date = h.valid_to
    where h.symbol is null

),

days as (

    select symbol, quote_date, 0 as events from {{ ref("stg_historical_quotes_cleaned") }}
    union all
    select symbol, quote_date, case when data_source = 'quotes' then event_count else 0 end
    from {{ ref("int_daily_bars") }}

),

seen as (

    select
        symbol,
        min(quote_date) as first_quote_date,
        max(quote_date) as last_quote_date,
        cast(sum(events) as bigint) as total_quotes
    from days
    group by symbol

),

symbols as (

    select symbol from seen
    union
    select symbol from companies

),

described as (

    select
        y.symbol,
        coalesce(p.company_name, y.symbol) as company_name,
        p.exchange,
        coalesce(own.sector, later.sector, p.finnhub_industry, 'Unknown') as sector,
        coalesce(own.industry, later.industry, p.finnhub_industry, 'Unknown') as industry,
        p.currency,
        p.ipo_date,
        nullif({{ as_shares("p.shares_outstanding_millions * 1000000") }}, 0) as shares_outstanding,
        coalesce(c.current_symbol, y.symbol) as current_symbol,
        n.first_quote_date,
        n.last_quote_date,
        coalesce(n.total_quotes, 0) as total_quotes
    from symbols as y
    left join seen as n on y.symbol = n.symbol
    left join companies as p on y.symbol = p.symbol
    left join changes as c on y.symbol = c.symbol
    left join sectors as own on y.symbol = own.symbol
    left join sectors as later on c.current_symbol = later.symbol

)

select * from described
