{# What silver must hold of the messages in bronze. dbt tests whole tables (tests/generic/ledger.sql); before a publish
   `stocklib.pipeline.reconcile` asks about the new loads alone, and `stocks ledger` names each row. It renders these
   macros without dbt, so they use arguments and each other, and nothing of dbt's. #}

{# The identity of an event: its run, symbol and seq, else the position of its message, else its line. #}
{% macro event_id() -%}
    coalesce(
        run_id || '/' || symbol || '/' || seq,
        kafka_topic_id || '/' || kafka_partition || '/' || kafka_offset,
        object_key || '/' || line_no
    )
{%- endmacro %}


{# (object, line, event, topic, partition, offset) of the messages whose event is not among the events. `bounds` limits
   the messages, `known` the events. #}
{% macro missing_events(messages, events, bounds="true", known="true") -%}
    with sightings as (
        select *, {{ event_id() }} as event_id from {{ messages }} where {{ bounds }}
    )
    select object_key, line_no, event_id, kafka_topic, kafka_partition, kafka_offset
    from sightings
    where event_id not in (select event_id from {{ events }} where {{ known }})
{%- endmacro %}


{# (symbol, day, events, events that the states count) where the two differ, on the days of the events within `bounds`
   and as far as neither is of a load after `upto`. #}
{% macro miscounted_states(states, events, bounds="true", upto="load_id") -%}
    with touched as (
        select min(quote_date) as first_day, max(quote_date) as last_day from {{ events }} where {{ bounds }}
    ),
    events as (
        select symbol, quote_date, count(distinct event_id) as found, max(load_id) as load_id
        from {{ events }}
        where reject_reason is null
            and quote_date between (select first_day from touched) and (select last_day from touched)
        group by symbol, quote_date
    ),
    states as (
        select traded_symbol as symbol, quote_date, sum(times_seen) as counted, max(load_id) as load_id
        from {{ states }}
        where quote_date between (select first_day from touched) and (select last_day from touched)
        group by traded_symbol, quote_date
    ),
    compared as (
        select
            coalesce(e.symbol, s.symbol) as symbol,
            coalesce(e.quote_date, s.quote_date) as quote_date,
            coalesce(e.found, 0) as found,
            coalesce(s.counted, 0) as counted,
            coalesce(e.load_id, s.load_id) as load_id
        from events as e
        full outer join states as s on e.symbol = s.symbol and e.quote_date = s.quote_date
    )
    select symbol, quote_date, found, counted
    from compared
    where found <> counted and load_id <= {{ upto }}
{%- endmacro %}
