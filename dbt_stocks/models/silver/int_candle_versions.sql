{{ config(unique_key=["object_key", "line_no"], meta={"spans": "quote_date"}) }}
{% set since = since_load() %}
{% set prices = ["open", "high", "low", "close"] %}

-- Every daily bar that was ever answered, turned back to what was traded, with the reason to quarantine it if there is
-- one.
with landed as (

    select 'ytd_historical_quotes' as dataset, * from {{ ref("stg_ytd_historical_quotes_raw") }}
    where load_id > {{ since }}
    union all
    select 'daily_historical_quotes' as dataset, * from {{ ref("stg_daily_historical_quotes_raw") }}
    where load_id > {{ since }}

),

splits as (

    {{ all_splits("stg_corporate_actions_cleaned") }}

),

checks as (

    select * from {{ ref("int_split_checks") }}

),

sessions as (

    select calendar_date, is_trading_day from {{ ref("stg_trading_sessions") }}

),

answered as (

    select
        dataset,
        symbol,
        quote_date,
        open_price as answered_open,
        high_price as answered_high,
        low_price as answered_low,
        close_price as answered_close,
        volume as answered_volume,
        data_source,
        fetched_at,
        object_key,
        line_no,
        load_id
    from landed
    {% if is_incremental() %}
    -- older answers that a new check admits, or that a split changes which is new or retracted
    union all
    select
        v.dataset,
        v.symbol,
        v.quote_date,
        v.answered_open,
        v.answered_high,
        v.answered_low,
        v.answered_close,
        v.answered_volume,
        v.data_source,
        v.fetched_at,
        v.object_key,
        v.line_no,
        max(reason.load_id) as load_id
    from {{ this }} as v
    inner join (
        select symbol, null as action_date, load_id from checks where load_id > {{ since }}
        union all
        select symbol, action_date, changed_load_id from splits where changed_load_id > {{ since }}
    ) as reason
        on v.symbol = reason.symbol
        and (
            (reason.action_date is null and v.reject_reason = 'splits unknown')
            or (v.quote_date < reason.action_date and reason.action_date <= {{ new_york_date("v.fetched_at") }})
        )
    group by all
    {% endif %}

),

factored as (

    select
        a.object_key,
        a.line_no,
        {{ product("s.to_factor") }} / {{ product("s.from_factor") }} as split_factor
    from answered as a
    inner join splits as s
        on a.symbol = s.symbol
        and s.action_date > a.quote_date
        and s.action_date <= {{ new_york_date("a.fetched_at") }}
    group by a.object_key, a.line_no

),

-- up to which day the splits after a bar are known: the furthest check that began on its next day or before
marks as (

    select symbol, checked_from as mark_date, checked_to, null as object_key, null as line_no
    from checks
    where symbol in (select symbol from answered)
    union all
    select symbol, {{ add_days("quote_date", 1) }}, null, object_key, line_no
    from answered
    where quote_date is not null

),

checked as (

    select
        object_key,
        line_no,
        max(checked_to) over (partition by symbol order by mark_date) as known_to
    from marks

),

as_traded as (

    select
        a.*,
        {% for name in prices %}
        {{ as_price("a.answered_" ~ name ~ " * coalesce(f.split_factor, 1)") }} as traded_{{ name }},
        {% endfor %}
        {% for name in prices %}
        {{ is_price_out_of_range("a.answered_" ~ name ~ " * coalesce(f.split_factor, 1)") }}
        {% if not loop.last %} or {% endif %}
        {% endfor %}
            as is_out_of_range,
        {{ as_shares("a.answered_volume / coalesce(f.split_factor, 1)") }} as volume,
        coalesce(f.split_factor, 1.0) as split_factor,
        c.known_to,
        coalesce(s.is_trading_day, false) as is_trading_day
    from answered as a
    left join factored as f on a.object_key = f.object_key and a.line_no = f.line_no
    left join checked as c on a.object_key = c.object_key and a.line_no = c.line_no
    left join sessions as s on a.quote_date = s.calendar_date

),

-- sources compute in floating point: a high may miss the close by a hair, and is widened; by more, and it is refused
widened as (

    select
        *,
        greatest(traded_high, traded_open, traded_close) as high_price,
        least(traded_low, traded_open, traded_close) as low_price
    from as_traded

),

with_reason as (

    select
        dataset,
        symbol,
        quote_date,
        traded_open as open_price,
        high_price,
        low_price,
        traded_close as close_price,
        volume,
        split_factor,
        high_price <> traded_high or low_price <> traded_low as is_widened,
        case
            when symbol is null then 'symbol missing'
            when quote_date is null then 'date missing'
            when fetched_at is null then 'time of fetching missing'
            when coalesce(data_source, '') not in ('finnhub', 'yfinance', 'replay') then 'source unknown'
            when is_out_of_range then 'price out of range'
            when traded_open is null or traded_high is null or traded_low is null or traded_close is null
                then 'price missing or not a number'
            when least(traded_open, traded_high, traded_low, traded_close) <= 0 then 'price not positive'
            when traded_high < traded_low then 'high below low'
            when high_price > cast(traded_high as {{ wide_type() }}) * 1.00001
                or low_price < cast(traded_low as {{ wide_type() }}) * 0.99999
                then 'open or close outside of low to high'
            when answered_volume < 0 then 'negative volume'
            when answered_volume is not null and volume is null then 'volume out of range'
            when not is_trading_day then 'no session on this date'
            when known_to is null or known_to < {{ new_york_date("fetched_at") }} then 'splits unknown'
        end as reject_reason,
        data_source,
        fetched_at,
        answered_open,
        answered_high,
        answered_low,
        answered_close,
        answered_volume,
        object_key,
        line_no,
        load_id
    from widened

)

select * from with_reason
order by quote_date
