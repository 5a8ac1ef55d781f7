{{ config(
    materialized="incremental",
    unique_key=["symbol", "resolution", "candle_time"],
    meta={"spans": "candle_time"},
) }}
{% set since = since_load() %}
{% set daily = ref("fact_daily_stock_quotes") %}
{% set session_days = ref("int_daily_bars") %}
{% set bars_of_days %}(
    select symbol, quote_date, max(hour_bars) as hour_bars from {{ session_days }} group by symbol, quote_date
){% endset %}
{% set trend_bars = 20 %}
{% set resolutions = {"1m": 1, "5m": 5, "1h": 60} %}

-- Compute the bars of touched days again, and the trend of the bars whose window reaches one of them.
with touched as (

    {{ touched_days(since) }}

),

touched_symbols as (

    {{ touched_symbols(since) }}

),

sessions as (

    select calendar_date, session_open, session_close, session_number from {{ ref("stg_trading_sessions") }}
    where is_trading_day

),

splits as (

    {{ all_splits() }}

),

session_days as (

    select * from {{ session_days }}

),

quote_prints as (

    {{ quote_prints("touched", "sessions") }}

),

trade_prints as (

    {{ trade_prints("touched", "sessions") }}

),

trade_coverage as (

    select * from {{ ref("int_trade_coverage") }}

),

prints as (

    {% set columns = "market_timestamp, price, volume, tick_no, feed_before, session_open, session_close" %}
    select symbol, quote_date, data_source, {{ columns }} from quote_prints
    union all
    select symbol, quote_date, 'trades', {{ columns }} from trade_prints

),

bucketed as (

    {% for resolution, minutes in resolutions.items() %}
    {{ bars_of_prints("prints", resolution, minutes) }}
    {% if not loop.last %} union all {% endif %}
    {% endfor %}

),

bounded as (

    select
        *,
        greatest(candle_time, session_open) as bar_start,
        least({{ add_seconds("candle_time", "60 * minutes") }}, session_close) as bar_end
    from bucketed

),

-- a bar of quotes is final when the symbol was asked for after the bar's end; one of trades, when the feed covered it
-- and has gone on since; the session's last one, after the close settled
settled as (

    select
        i.symbol,
        i.resolution,
        i.candle_time,
        i.quote_date,
        i.candle_open,
        i.candle_high,
        i.candle_low,
        i.candle_close,
        i.volume,
        i.vwap,
        i.tick_count,
        i.data_source,
        case
            when i.data_source = 'quotes'
                then d.is_final or (i.bar_end < i.session_close and d.last_fetched_at >= i.bar_end)
            when i.bar_end < i.session_close
                then {{ has_settled(
                    "c.covered_until", add_seconds("i.bar_end", print_settle_seconds()), "i.feed_before"
                ) }}
            else {{ has_settled("c.covered_until", settled_after("i.session_close"), "i.feed_before") }}
        end as is_final,
        case when i.data_source = 'quotes' then 2 when c.symbol is not null then 1 else 3 end as preference
    from bounded as i
    inner join session_days as d
        on i.symbol = d.symbol and i.quote_date = d.quote_date and i.data_source = d.data_source
    left join trade_coverage as c
        on i.symbol = c.symbol
        and i.quote_date = c.quote_date
        and i.data_source = 'trades'
        and c.covered_from < i.bar_start
        and c.covered_until >= i.bar_end

),

-- trades that were listened to throughout win over quotes, and these over other trades
intraday_bars as (

    select * exclude (preference), true as is_new from settled
    qualify row_number() over (partition by symbol, resolution, candle_time order by preference) = 1

),

daily_bars as (

    select
        f.symbol,
        '1d' as resolution,
        cast(f.quote_date as timestamp) as candle_time,
        f.quote_date,
        f.open_price as candle_open,
        f.high_price as candle_high,
        f.low_price as candle_low,
        f.close_price as candle_close,
        f.volume,
        d.vwap,
        d.tick_count,
        f.data_source,
        f.is_final,
        t.symbol is not null as is_new
    from {{ daily }} as f
    left join touched as t on f.symbol = t.symbol and f.quote_date = t.quote_date
    left join session_days as d
        on f.symbol = d.symbol and f.quote_date = d.quote_date and f.data_source = d.data_source
    where f.quote_date >= {{ reach_back(since, trend_bars, daily) }}
        and f.symbol in (select symbol from touched_symbols)

),

{% if is_incremental() %}
-- the bars around them, whose trend they share
bars_around as (

    select
        b.symbol,
        b.resolution,
        b.candle_time,
        cast(b.candle_time as date) as quote_date,
        b.candle_open,
        b.candle_high,
        b.candle_low,
        b.candle_close,
        b.volume,
        b.vwap,
        b.tick_count,
        b.data_source,
        b.is_final,
        false as is_new
    from {{ this }} as b
    where b.candle_time >= {{ reach_back(since, trend_bars, bars_of_days, weight="d.hour_bars") }}
        and b.resolution <> '1d'
        and b.symbol in (select symbol from touched_symbols)
        and (b.symbol, cast(b.candle_time as date)) not in (select symbol, quote_date from touched)

),
{% endif %}

bars as (

    select * from intraday_bars
    union all
    select * from daily_bars
    {% if is_incremental() %}
    union all
    select * from bars_around
    {% endif %}

),

factors as (

    {{ split_factors("(select distinct symbol, quote_date from bars)", "splits", since) }}

),

-- the trend is on its own bar's basis: earlier closes are adjusted to it
adjusted as (

    select
        b.*,
        coalesce(f.split_factor, 1.0) as split_factor,
        coalesce(f.is_new_split, false) as is_new_split,
        s.session_number,
        {{ rounded(as_double("b.candle_close") ~ " / coalesce(f.split_factor, 1.0)", 28, 10) }} as adjusted_close
    from bars as b
    left join factors as f on b.symbol = f.symbol and b.quote_date = f.quote_date
    left join sessions as s on b.resolution = '1d' and b.quote_date = s.calendar_date

),

with_trend as (

    select
        *,
        {{ trend_line(trend_bars) }} as trend_line,
        max(case when is_new or is_new_split then 1 else 0 end) {{ over_last_candles(trend_bars) }} as is_reached
    from adjusted

),

changed as (

    select
        symbol,
        resolution,
        candle_time,
        candle_open,
        candle_high,
        candle_low,
        candle_close,
        volume,
        vwap,
        tick_count,
        trend_line,
        data_source,
        is_final
    from with_trend
    where is_reached = 1

)

select * from changed
order by candle_time
