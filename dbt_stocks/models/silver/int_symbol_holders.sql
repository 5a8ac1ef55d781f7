{{ config(materialized="table") }}

-- Past holders of symbols: the company that had a symbol before its present one, from when and until when. A rename
-- counts from its date on, and is unknown before it, also in a replay of the past.
with recursive newest as (

    select max(quote_date) as quote_date
    from (
        select max(quote_date) as quote_date from {{ ref("int_quote_events") }}
        where reject_reason is null
        union all
        select max(quote_date) as quote_date from {{ ref("int_trade_events") }}
        where reject_reason is null
        union all
        select max(quote_date) as quote_date from {{ ref("int_candle_versions") }}
        where reject_reason is null
    ) as days

),

changes as (

    select c.old, c.new, c.date as since
    from {{ ref("symbol_changes") }} as c
    inner join newest as n on c.date <= n.quote_date

),

-- each company's symbols after an old one
chains (old, began, new, reached) as (

    select old, since as began, new, since as reached from changes
    union all
    select f.old, f.began, c.new, c.since
    from chains as f
    inner join changes as c on f.new = c.old and c.since > f.reached

),

currents as (

    select old, max_by(new, reached) as company from chains
    group by old

),

-- a company that left the symbol: from its takeover of the symbol, else from the beginning, until it left
left_behind as (

    select
        c.old as symbol,
        case when t.since < c.since then t.since else cast('0001-01-01' as date) end as valid_from,
        c.since as valid_to,
        n.company
    from changes as c
    inner join currents as n on c.old = n.old
    left join changes as t on c.old = t.new

),

-- an unnamed company that had the symbol before a takeover: from when the holder before it left, if one did, until the
-- takeover
taken_over as (

    select
        c.new as symbol,
        case when b.since <= c.since then b.since else cast('0001-01-01' as date) end as valid_from,
        c.since as valid_to,
        c.new || ':BEFORE-' || cast(c.since as varchar) as company
    from changes as c
    left join changes as b on c.new = b.old

),

holders as (

    select * from left_behind
    union all
    select * from taken_over

)

select * from holders
where valid_from < valid_to
