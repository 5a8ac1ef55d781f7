with daily as (

    select * from {{ ref("fact_daily_stock_quotes") }}

),

performance as (

    select symbol, quote_date, ytd_return_percent from {{ ref("fact_stock_performance") }}

),

sessions as (

    select
        calendar_date,
        session_number,
        lag(calendar_date) over (order by calendar_date) as date_before
    from {{ ref("stg_trading_sessions") }}
    where is_trading_day

),

quotes_of_day as (

    select symbol, quote_date, prev_close from {{ ref("int_daily_bars") }}
    where data_source = 'quotes'

),

-- when a day's close was true, and when it was learned
latest_prices as (

    select symbol, quote_date, data_source, as_of, last_fetched_at as fetched_at
    from {{ ref("int_daily_bars") }}
    union all
    select
        h.symbol,
        h.quote_date,
        h.data_source,
        least(s.session_close, h.fetched_at),
        h.fetched_at
    from {{ ref("stg_historical_quotes_cleaned") }} as h
    inner join {{ ref("stg_trading_sessions") }} as s on h.quote_date = s.calendar_date

),

last_days as (

    select symbol, max(quote_date) as quote_date from daily
    group by symbol

),

newest as (

    select max(quote_date) as quote_date from last_days

),

-- a halt or a hole in a source lasts some sessions; a symbol without a bar for more than five is marked
seen as (

    select
        l.symbol,
        l.quote_date,
        extract(year from l.quote_date) = extract(year from n.quote_date) as is_of_this_year,
        coalesce(now_.session_number - then_.session_number > 5, false) as is_stale
    from last_days as l
    cross join newest as n
    left join sessions as then_ on l.quote_date = then_.calendar_date
    left join sessions as now_ on n.quote_date = now_.calendar_date

),

last_two as (

    select
        d.*,
        lag(d.close_price / d.split_factor) over (partition by d.symbol order by d.quote_date) * d.split_factor
            as close_before,
        lag(d.quote_date) over (partition by d.symbol order by d.quote_date) as date_before,
        lag(d.is_final) over (partition by d.symbol order by d.quote_date) as is_final_before
    from daily as d
    inner join last_days as l on d.symbol = l.symbol and d.quote_date >= {{ add_days("l.quote_date", -30) }}
    qualify row_number() over (partition by d.symbol order by d.quote_date desc) = 1

),

-- the change is against our own final close of the session before, if there is one: a source updates its previous close
-- at a time of its choice
based as (

    select
        d.symbol,
        d.quote_date,
        d.data_source,
        d.close_price as current_price,
        d.close_before,
        d.daily_return_percent,
        q.prev_close,
        l.is_stale,
        l.is_of_this_year,
        case
            when l.is_stale then null
            when d.is_final_before and d.date_before = s.date_before then 'close'
            when q.prev_close is not null then 'source'
        end as change_basis
    from last_two as d
    inner join seen as l on d.symbol = l.symbol
    inner join sessions as s on d.quote_date = s.calendar_date
    left join quotes_of_day as q on d.symbol = q.symbol and d.quote_date = q.quote_date

),

compared as (

    select
        *,
        case
            when change_basis = 'close' then {{ as_price("close_before") }}
            when change_basis = 'source' then prev_close
        end as base_price
    from based

),

kpi as (

    select
        c.symbol,
        c.current_price,
        cast(c.current_price - c.base_price as {{ price_type() }}) as change_amount,
        case
            when c.change_basis = 'close' then c.daily_return_percent
            when c.change_basis = 'source' then {{ as_percent(quotient("c.current_price", "c.base_price") ~ " - 1") }}
        end as change_percent,
        c.change_basis,
        case when c.is_of_this_year then p.ytd_return_percent end as ytd_return_percent,
        c.quote_date as last_bar_date,
        c.is_stale,
        t.as_of,
        t.fetched_at
    from compared as c
    inner join latest_prices as t
        on c.symbol = t.symbol and c.quote_date = t.quote_date and c.data_source = t.data_source
    left join performance as p on c.symbol = p.symbol and c.quote_date = p.quote_date

)

select * from kpi
