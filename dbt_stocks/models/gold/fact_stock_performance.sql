{{ config(materialized="incremental", unique_key=["symbol", "quote_date"], meta={"spans": "quote_date"}) }}
{% set since = since_load() %}
{% set daily = ref("fact_daily_stock_quotes") %}
{% set reach = reach_back(since, 91, daily) %}

with touched as (

    {{ touched_symbols(since) }}

),

daily as (

    select symbol, quote_date, close_price, split_factor from {{ daily }}
    where quote_date >= {{ start_of_year_before(reach) }}
        and symbol in (select symbol from touched)

),

adjusted as (

    select
        symbol,
        quote_date,
        extract(year from quote_date) as quote_year,
        nullif({{ as_wide(as_double("close_price") ~ " / split_factor") }}, 0) as adj_close_price
    from daily

),

-- the last session of each year, and the first one
years as (

    select
        symbol,
        quote_year,
        min(quote_date) as first_date,
        max(quote_date) as last_date,
        min_by(adj_close_price, quote_date) as first_close,
        max_by(adj_close_price, quote_date) as last_close
    from adjusted
    group by symbol, quote_year

),

year_bases as (

    select
        y.symbol,
        y.quote_year,
        coalesce(b.last_date, y.first_date) as ytd_base_date,
        coalesce(b.last_close, y.first_close) as ytd_base_close
    from years as y
    left join years as b on y.symbol = b.symbol and y.quote_year = b.quote_year + 1

),

returns as (

    select
        *,
        {{ rounded(
            quotient("adj_close_price", "lag(adj_close_price) over (partition by symbol order by quote_date)") ~ " - 1",
            18,
            12,
        ) }} as daily_return,
        lag(adj_close_price, 30) over (partition by symbol order by quote_date) as close_30_before
    from adjusted

),

windows as (

    select
        symbol,
        quote_date,
        quote_year,
        adj_close_price,
        {{ moving_average("adj_close_price", 7) }} as ma_7day,
        {{ moving_average("adj_close_price", 30) }} as ma_30day,
        {{ moving_average("adj_close_price", 90) }} as ma_90day,
        {{ as_percent(quotient("adj_close_price", "close_30_before") ~ " - 1") }}
            as momentum_30day_percent,
        {{ as_percent(moving_stddev("daily_return", 30) ~ " * sqrt(252)") }} as volatility_30day_percent
    from returns

),

{% if is_incremental() %}
last_untouched as (

    select a.symbol, max(a.quote_date) as quote_date
    from adjusted as a
    inner join touched as t on a.symbol = t.symbol and a.quote_date < t.first_date
    group by a.symbol

),

peaks_before as (

    select p.symbol, p.peak_price
    from {{ this }} as p
    inner join last_untouched as u on p.symbol = u.symbol and p.quote_date = u.quote_date
    where p.quote_date >= {{ start_of_year_before(reach) }}

),
{% endif %}

touched_rows as (

    select
        w.*,
        nullif(greatest(
            coalesce(max(w.adj_close_price) over (
                partition by w.symbol order by w.quote_date rows between unbounded preceding and current row
            ), 0),
            {% if is_incremental() %} coalesce(p.peak_price, 0) {% else %} 0 {% endif %}
        ), 0) as peak_price
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
        {{ as_percent(quotient("r.adj_close_price", "b.ytd_base_close") ~ " - 1") }}
            as ytd_return_percent,
        b.ytd_base_date,
        r.momentum_30day_percent,
        r.volatility_30day_percent,
        cast(r.peak_price as {{ wide_type() }}) as peak_price,
        {{ as_percent(quotient("r.adj_close_price", "r.peak_price") ~ " - 1") }}
            as drawdown_percent
    from touched_rows as r
    inner join year_bases as b on r.symbol = b.symbol and r.quote_year = b.quote_year

)

select * from performance
order by quote_date
