{# What bars of trades are made of: the prints of the sessions of `touched` days (symbol, quote_date), in order.

   Two runs that listen at once see the same trades: of equal ones, as many count as the run that saw most of them saw.
   feed_before is how far the feed had come when the trade arrived: a late one finds it beyond its bar's end. #}
{% macro trade_prints(touched, sessions) -%}
    select
        symbol,
        quote_date,
        market_timestamp,
        price,
        cast(volume as {{ price_type() }}) as volume,
        fetched_at,
        feed_before,
        session_open,
        session_close,
        day_load_id,
        row_number() over (
            partition by symbol, quote_date order by market_timestamp, run_id, seq, event_id
        ) as tick_no
    from (
        select
            t.*,
            s.session_open,
            s.session_close,
            max(t.load_id) over (partition by t.symbol, t.quote_date) as day_load_id,
            max(t.market_timestamp) over (
                partition by t.symbol, t.quote_date, t.run_id
                order by t.seq, t.kafka_partition, t.kafka_offset, t.event_id
                rows between unbounded preceding and 1 preceding
            ) as feed_before,
            row_number() over (
                partition by t.symbol, t.quote_date, t.market_timestamp, t.price, t.volume, t.conditions, t.run_id
                order by t.seq, t.kafka_partition, t.kafka_offset, t.event_id
            ) as repetition
        from {{ ref("stg_stock_trades_cleaned") }} as t
        inner join {{ sessions }} as s on t.quote_date = s.calendar_date
        where t.quote_date in (select quote_date from {{ touched }})
            and (t.symbol, t.quote_date) in (select symbol, quote_date from {{ touched }})
    ) as arrivals
    where market_timestamp between session_open and session_close
    qualify row_number() over (
        partition by symbol, quote_date, market_timestamp, price, volume, conditions, repetition
        order by feed_before nulls first, run_id, seq, event_id
    ) = 1
{%- endmacro %}


{# The same of quotes: each quote of a session is a print without a volume, but for one outside of its day's range. #}
{% macro quote_prints(touched, sessions) -%}
    select
        q.symbol,
        q.quote_date,
        'quotes' as data_source,
        q.market_timestamp,
        q.current_price as price,
        cast(null as {{ price_type() }}) as volume,
        cast(null as timestamp) as feed_before,
        s.session_open,
        s.session_close,
        row_number() over (
            partition by q.symbol, q.quote_date
            order by q.market_timestamp, q.last_fetched_at, q.kafka_partition, q.kafka_offset, q.object_key, q.line_no
        ) as tick_no
    from {{ ref("stg_stock_quotes_cleaned") }} as q
    inner join {{ sessions }} as s on q.quote_date = s.calendar_date
    where q.quote_date in (select quote_date from {{ touched }})
        and (q.symbol, q.quote_date) in (select symbol, quote_date from {{ touched }})
        and q.data_quality_flag <> 'outside_day_range'
        and q.market_timestamp between s.session_open and s.session_close
{%- endmacro %}


{# How long the feed must have gone on after a bar's end, or after the last change of it, before the bar is final: what
   US rules allow for reporting a trade (FINRA 6380A: ten seconds), and never more than a close takes to settle. #}
{% macro print_settle_seconds() -%}
    {{ [var("close_settle_seconds") | float, 10.0] | min }}
{%- endmacro %}


{# Whether a bar of trades is final: the feed covered it, went on until it settled, and went on after the last change. #}
{% macro has_settled(covered_until, bar_settled, feed_before) -%}
    coalesce(
        {{ covered_until }} >= greatest(
            {{ bar_settled }}, coalesce({{ add_seconds(feed_before, print_settle_seconds()) }}, {{ bar_settled }})
        ),
        false
    )
{%- endmacro %}
