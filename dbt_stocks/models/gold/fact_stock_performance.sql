{{ config(materialized="incremental", unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}
{% set since = since_load() %}
{% set daily = ref("fact_daily_stock_quotes") %}
{% set reach = reach_back(since, 91, daily) %}

with touched as (

    {{ touched_symbols(since) }}

),

daily as (

    select symbol, quote_date, close_price, split_factor, sessions_since_previous from {{ daily }}
    where quote_date >= {{ start_of_year_before(reach) }}
        and symbol in (select symbol from touched)

),

sessions as (

    {{ numbered_sessions() }}

),

-- where each symbol begins, however far back that is
firsts as (

    select f.symbol, extract(year from f.quote_date) as first_year, s.session_number as first_number
    from (
        select symbol, min(quote_date) as quote_date from {{ daily }}
        where symbol in (select symbol from touched)
        group by symbol
    ) as f
    left join sessions as s on f.quote_date = s.session_date

),

adjusted as (

    select
        d.symbol,
        d.quote_date,
        extract(year from d.quote_date) as quote_year,
        s.session_number,
        d.sessions_since_previous,
        nullif({{ as_wide(as_double("d.close_price") ~ " / d.split_factor") }}, 0) as adj_close_price,
        -- unrounded, for the percent columns: after a split of 7:1 a rounded close would carry its error into them
        case
            when {{ as_wide(as_double("d.close_price") ~ " / d.split_factor") }} <> 0
                then {{ as_double("d.close_price") }} / d.split_factor
        end as exact_close
    from daily as d
    left join sessions as s on d.quote_date = s.session_date

),

ends_of_years as (

    select extract(year from session_date) as session_year, max(session_number) as last_number from sessions
    group by 1

),

-- a symbol's first and last bar of each year
years as (

    select
        symbol,
        quote_year,
        min(quote_date) as first_date,
        max(quote_date) as last_date,
        max(session_number) as last_number,
        min_by(exact_close, quote_date) as first_close,
        max_by(exact_close, quote_date) as last_close
    from adjusted
    group by symbol, quote_year

),

-- the last bar of the year before, if it is of that year's last five sessions; in the symbol's first year, its first
year_bases as (

    select
        y.symbol,
        y.quote_year,
        case when y.quote_year = f.first_year then y.first_date else b.last_date end as ytd_base_date,
        case when y.quote_year = f.first_year then y.first_close else b.last_close end as ytd_base_close
    from years as y
    inner join firsts as f on y.symbol = f.symbol
    left join ends_of_years as e on y.quote_year = e.session_year + 1
    left join years as b
        on y.symbol = b.symbol and y.quote_year = b.quote_year + 1 and b.last_number > e.last_number - 5

),

bars as (

    select
        *,
        case
            when sessions_since_previous = 1
                then {{ rounded(
                    quotient("exact_close", "lag(exact_close) over (partition by symbol order by quote_date)")
                    ~ " - 1",
                    18,
                    12,
                ) }}
        end as daily_return,
        {{ moving_average("adj_close_price", 7) }} as ma_7day,
        {{ moving_average("adj_close_price", 30) }} as ma_30day,
        {{ moving_average("adj_close_price", 90) }} as ma_90day
    from adjusted

),

-- a row for each session without a bar that a window of thirty reaches
by_session as (

    select
        symbol,
        session_number,
        quote_date,
        quote_year,
        adj_close_price,
        exact_close,
        daily_return,
        ma_7day,
        ma_30day,
        ma_90day
    from bars
    union all
    select b.symbol, s.session_number, null, null, null, null, null, null, null, null
    from bars as b
    inner join sessions as s
        on s.session_number > b.session_number - least(b.sessions_since_previous, 31)
        and s.session_number < b.session_number
    where b.sessions_since_previous > 1

),

returns as (

    select
        *,
        lag(exact_close, 30) over (partition by symbol order by session_number) as close_30_before
    from by_session

),

windows_of_sessions as (

    select
        *,
        {{ as_percent(quotient("exact_close", "close_30_before") ~ " - 1") }} as momentum_30day_percent,
        {%- set annual = "sqrt(" ~ var("periods_a_year") ~ ")" %}
        {{ as_percent(moving_stddev("daily_return", 30) ~ " * " ~ annual) }} as volatility_30day_percent
    from returns

),

windows as (

    select
        w.symbol,
        w.quote_date,
        w.quote_year,
        w.adj_close_price,
        w.exact_close,
        w.ma_7day,
        w.ma_30day,
        w.ma_90day,
        w.momentum_30day_percent,
        case when w.session_number - f.first_number >= 30 then w.volatility_30day_percent end
            as volatility_30day_percent
    from windows_of_sessions as w
    inner join firsts as f on w.symbol = f.symbol
    where w.quote_date is not null

),

{% if is_incremental() %}
peaks_before as (

    select d.symbol, max({{ as_double("d.close_price") }} / d.split_factor) as exact_peak
    from {{ daily }} as d
    inner join touched as t on d.symbol = t.symbol and d.quote_date < t.first_date
    group by d.symbol

),
{% endif %}

touched_rows as (

    select
        w.*,
        nullif(greatest(
            coalesce(max(w.exact_close) over (
                partition by w.symbol order by w.quote_date rows between unbounded preceding and current row
            ), 0),
            {% if is_incremental() %} coalesce(p.exact_peak, 0) {% else %} 0 {% endif %}
        ), 0) as exact_peak
    from windows as w
    inner join touched as t on w.symbol = t.symbol and w.quote_date >= t.first_date
    {% if is_incremental() %}
    left join peaks_before as p on w.symbol = p.symbol
    {% endif %}

),

performance as (

    select
        r.symbol,
        r.quote_date,
        r.adj_close_price,
        r.ma_7day,
        r.ma_30day,
        r.ma_90day,
        {{ as_percent(quotient("r.exact_close", "b.ytd_base_close") ~ " - 1") }}
            as ytd_return_percent,
        b.ytd_base_date,
        r.momentum_30day_percent,
        r.volatility_30day_percent,
        {{ as_wide("r.exact_peak") }} as peak_price,
        {{ as_percent(quotient("r.exact_close", "r.exact_peak") ~ " - 1") }}
            as drawdown_percent
    from touched_rows as r
    inner join year_bases as b on r.symbol = b.symbol and r.quote_year = b.quote_year

)

select * from performance
order by quote_date
