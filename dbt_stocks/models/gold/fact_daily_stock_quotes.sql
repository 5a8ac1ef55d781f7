{{ config(materialized="incremental", unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}
{% set since = since_load() %}

-- Compute a touched symbol again from its first touched date on.
with touched as (

    {{ touched_symbols(since) }}

),

history as (

    select
        symbol,
        quote_date,
        open_price,
        high_price,
        low_price,
        close_price,
        volume,
        data_source,
        is_final,
        case when is_final then 1 else 5 end as preference
    from {{ ref("stg_historical_quotes_cleaned") }}

),

streamed as (

    select
        symbol,
        quote_date,
        open_price,
        high_price,
        low_price,
        close_price,
        volume,
        data_source,
        is_final,
        case when data_source = 'quotes' then 3 when is_whole then 2 else 4 end as preference
    from {{ ref("int_daily_bars") }}

),

splits as (

    {{ all_splits() }}

),

sessions as (

    {{ numbered_sessions() }}

),

candidates as (

    select h.*
    from history as h
    inner join touched as t on h.symbol = t.symbol and h.quote_date >= t.first_date
    union all
    select s.*
    from streamed as s
    inner join touched as t on s.symbol = t.symbol and s.quote_date >= t.first_date

),

-- history wins over trades of the whole session, these over quotes, and quotes over trades of a part of it; a history
-- bar that was asked for too early comes last
chosen as (

    select * from candidates
    qualify row_number() over (partition by symbol, quote_date order by preference) = 1

),

{% if is_incremental() %}
day_before as (

    select b.symbol, max(b.quote_date) as quote_date
    from {{ this }} as b
    inner join touched as t on b.symbol = t.symbol and b.quote_date < t.first_date
    group by b.symbol

),
{% endif %}

with_day_before as (

    select symbol, quote_date, close_price from chosen
    {% if is_incremental() %}
    union all
    select b.symbol, b.quote_date, b.close_price
    from {{ this }} as b
    inner join day_before as d on b.symbol = d.symbol and b.quote_date = d.quote_date
    {% endif %}

),

factors as (

    {{ split_factors("with_day_before", "splits") }}

),

returns as (

    select
        d.symbol,
        d.quote_date,
        coalesce(f.split_factor, 1.0) as split_factor,
        {{ as_double("d.close_price") }} / coalesce(f.split_factor, 1.0) as adjusted,
        lag({{ as_double("d.close_price") }} / coalesce(f.split_factor, 1.0)) over (
            partition by d.symbol order by d.quote_date
        ) as adjusted_before,
        s.session_number - lag(s.session_number) over (partition by d.symbol order by d.quote_date)
            as sessions_since_previous
    from with_day_before as d
    left join factors as f on d.symbol = f.symbol and d.quote_date = f.quote_date
    left join sessions as s on d.quote_date = s.session_date

),

bars as (

    select
        c.symbol,
        c.quote_date,
        c.open_price,
        c.high_price,
        c.low_price,
        c.close_price,
        c.volume,
        r.split_factor,
        r.sessions_since_previous,
        case
            when r.sessions_since_previous = 1
                then {{ as_percent(quotient("r.adjusted", "r.adjusted_before") ~ " - 1") }}
        end as daily_return_percent,
        c.data_source,
        c.is_final
    from chosen as c
    inner join returns as r on c.symbol = r.symbol and c.quote_date = r.quote_date

),

described as (

    select
        b.symbol,
        b.quote_date,
        b.open_price,
        b.high_price,
        b.low_price,
        b.close_price,
        b.volume,
        b.split_factor,
        b.sessions_since_previous,
        b.daily_return_percent,
        case
            when b.daily_return_percent > 0 then 'up'
            when b.daily_return_percent < 0 then 'down'
            when b.daily_return_percent = 0 then 'flat'
        end as price_direction,
        case
            when abs(b.daily_return_percent) < 1 then 'low'
            when abs(b.daily_return_percent) <= 3 then 'medium'
            when abs(b.daily_return_percent) > 3 then 'high'
        end as volatility_category,
        b.data_source,
        b.is_final,
        coalesce(h.symbol, b.symbol) as traded_symbol
    from bars as b
    left join {{ ref("int_symbol_holders") }} as h
        on b.symbol = h.company and b.quote_date >= h.valid_from and b.quote_date < h.valid_to

)

select * from described
order by quote_date
