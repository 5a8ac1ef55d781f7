{{ config(unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}

-- The times during which a symbol's trades were received without interruption. A connection covers the time from its
-- subscription to its newest trade: up to there the feed is known to be complete. Stretches that touch are one.
with touched as (

    select distinct symbol, quote_date from {{ ref("stg_stock_trades_cleaned") }}
    where load_id > {{ since_load() }}

),

connections as (

    select
        symbol,
        quote_date,
        covered_since,
        max(least(market_timestamp, fetched_at)) as covered_until,
        max(load_id) as load_id
    from {{ ref("stg_stock_trades_cleaned") }}
    where covered_since is not null
        and quote_date in (select quote_date from touched)
        and (symbol, quote_date) in (select symbol, quote_date from touched)
    group by symbol, quote_date, run_id, covered_since

),

reached as (

    select
        *,
        max(covered_until) over (
            partition by symbol, quote_date
            order by covered_since, covered_until
            rows between unbounded preceding and 1 preceding
        ) as reached_before
    from connections
    where covered_until >= covered_since

),

stretches as (

    select
        *,
        sum(case when reached_before >= covered_since then 0 else 1 end) over (
            partition by symbol, quote_date
            order by covered_since, covered_until
            rows between unbounded preceding and current row
        ) as stretch
    from reached

),

merged as (

    select
        symbol,
        quote_date,
        min(covered_since) as covered_from,
        max(covered_until) as covered_until,
        max(load_id) as load_id
    from stretches
    group by symbol, quote_date, stretch

)

select * from merged
order by quote_date
