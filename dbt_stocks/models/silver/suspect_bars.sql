{{ config(materialized="view", meta={"spans": "quote_date"}) }}

-- Final daily bars whose prices jump in a way that no split explains and the next final bar takes back. A view: what it
-- says of a bar changes with the bar after it, which no build of that bar alone would see.
with splits as (

    {{ all_splits() }}

),

history as (

    select symbol, quote_date, open_price, high_price, low_price, close_price, data_source
    from {{ ref("stg_historical_quotes_cleaned") }}
    where is_final

),

streamed as (

    select symbol, quote_date, open_price, high_price, low_price, close_price, data_source
    from {{ ref("int_daily_bars") }}
    where is_final
    qualify row_number() over (
        partition by symbol, quote_date order by case when data_source = 'trades' and is_whole then 1 else 2 end
    ) = 1

),

bars as (

    select * from history
    union all
    select s.*
    from streamed as s
    left join history as h on s.symbol = h.symbol and s.quote_date = h.quote_date
    where h.symbol is null

),

neighbours as (

    select
        symbol,
        quote_date,
        data_source,
        {{ as_double("open_price") }} as open_price,
        {{ as_double("high_price") }} as high_price,
        {{ as_double("low_price") }} as low_price,
        {{ as_double("close_price") }} as close_price,
        lag(quote_date) over (partition by symbol order by quote_date) as previous_date,
        {{ as_double("lag(close_price) over (partition by symbol order by quote_date)") }} as previous_close,
        lead(quote_date) over (partition by symbol order by quote_date) as next_date,
        {{ as_double("lead(close_price) over (partition by symbol order by quote_date)") }} as next_close
    from bars

),

-- a cheap first choice: bars far from a neighbour's price, also by a split, with both neighbours within two weeks
candidates as (

    select * from neighbours
    where previous_date >= {{ add_days("quote_date", -14) }}
        and next_date <= {{ add_days("quote_date", 14) }}
        and (
            greatest(high_price, previous_close, next_close) >= 4 * low_price
            or greatest(close_price, previous_close) >= 1.3 * least(close_price, previous_close)
            or greatest(close_price, next_close) >= 1.3 * least(close_price, next_close)
            or high_price >= 4 * least(previous_close, next_close)
        )

),

-- the neighbours' closes on the bar's own basis; and the nearest split, of those that a source may have misdated
with_splits as (

    select
        c.symbol,
        c.quote_date,
        coalesce(
            {{ product("case when s.action_date > c.previous_date and s.action_date <= c.quote_date "
                ~ "then s.to_factor / s.from_factor else 1 end") }},
            1
        ) as split_before,
        coalesce(
            {{ product("case when s.action_date > c.quote_date and s.action_date <= c.next_date "
                ~ "then s.to_factor / s.from_factor else 1 end") }},
            1
        ) as split_after,
        max(abs(ln(s.to_factor / s.from_factor))) as split_size
    from candidates as c
    inner join splits as s
        on c.symbol = s.symbol
        and s.action_date > {{ add_days("c.quote_date", -14) }}
        and s.action_date <= {{ add_days("c.quote_date", 14) }}
    group by c.symbol, c.quote_date

),

on_one_basis as (

    select
        c.*,
        c.previous_close / coalesce(w.split_before, 1) as before,
        c.next_close * coalesce(w.split_after, 1) as after,
        abs(ln(coalesce(w.split_before, 1))) as split_of_the_day,
        w.split_size
    from candidates as c
    left join with_splits as w on c.symbol = w.symbol and c.quote_date = w.quote_date

),

measured as (

    select
        *,
        ln(close_price / before) as jump,
        abs(ln(after / before)) as left_over,
        greatest(
            ln(high_price / greatest(before, after)),
            ln(least(before, after) / low_price)
        ) as reach
    from on_one_basis

),

suspect as (

    select
        symbol,
        quote_date,
        'suspect_jump' as data_quality_flag,
        {{ as_price("open_price") }} as open_price,
        {{ as_price("high_price") }} as high_price,
        {{ as_price("low_price") }} as low_price,
        {{ as_price("close_price") }} as close_price,
        {{ as_price("before") }} as previous_close,
        {{ as_price("after") }} as next_close,
        {{ as_percent("close_price / before - 1") }} as jump_percent,
        next_date as judged_date,
        data_source
    from measured
    where
        -- a close 2.5 times as high or as low, or off by the very ratio of a split near by
        (
            (abs(jump) >= ln(2.5) or (abs(jump) >= ln(1.3) and abs(abs(jump) - split_size) <= ln(1.1)))
            and left_over <= abs(jump) / 4
        )
        -- an open, high or low eight times as high or as low as the closes around it, where no split of the day says so
        or (reach >= ln(8) and left_over <= ln(8) / 4 and abs(reach - split_of_the_day) > ln(1.1))

)

select * from suspect
