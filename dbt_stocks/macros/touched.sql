{# What the new loads touched, for the daily gold models. Silver rows carry the load that last changed them. #}
{% macro touched_days(since) -%}
    select symbol, quote_date
    from {{ ref("stg_historical_quotes_cleaned") }}
    where load_id > {{ since }}
    union
    select symbol, quote_date
    from {{ ref("int_daily_bars") }}
    where load_id > {{ since }}
{%- endmacro %}


{# Each touched symbol and the first date from which its figures change: all of them after a split that
   is new or retracted. #}
{% macro touched_symbols(since) -%}
    select symbol, min(quote_date) as first_date
    from (
        {{ touched_days(since) }}
        union all
        select symbol, cast('1900-01-01' as date)
        from {{ ref("int_company_actions") }}
        where kind = 'split' and changed_load_id > {{ since }}
    ) as touches
    group by symbol
{%- endmacro %}


{# How far back the windows of the touched symbols reach: so many bars of `days` before the first touched date.
   A literal date, so that an engine reads no older part of a table. #}
{% macro reach_back(since, bars, days, weight="1") -%}
    {%- set reach = none -%}
    {%- if execute and is_incremental() -%}
        {%- set found = run_query(
            "with touched as (" ~ touched_symbols(since) ~ "), "
            ~ "before as (select d.symbol, d.quote_date, sum(" ~ weight ~ ") over ("
            ~ "partition by d.symbol order by d.quote_date desc) as bars_since "
            ~ "from " ~ days ~ " as d inner join touched as t "
            ~ "on d.symbol = t.symbol and d.quote_date < t.first_date) "
            ~ "select min(reach) from ("
            ~ "select symbol, max(quote_date) as reach from before where bars_since >= " ~ bars ~ " group by symbol "
            ~ "union all "
            ~ "select symbol, min(quote_date) from before group by symbol having max(bars_since) < " ~ bars ~ " "
            ~ "union all select symbol, first_date from touched) as reaches"
        ) -%}
        {%- set reach = found.columns[0].values()[0] -%}
    {%- endif -%}
    cast('{{ reach or "1900-01-01" }}' as date)
{%- endmacro %}


{# The earliest of the symbols' last dates, of those within a month of the very last: as a literal, so that an engine
   reads no older part of another table. #}
{% macro earliest_last_date(days) -%}
    {%- set found = none -%}
    {%- if execute and load_relation(days) is not none -%}
        {%- set found = run_query(
            "with lasts as (select symbol, max(quote_date) as last_date from " ~ days ~ " group by symbol) "
            ~ "select min(last_date) from lasts "
            ~ "where last_date >= (select " ~ add_days("max(last_date)", -31) ~ " from lasts)"
        ).columns[0].values()[0] -%}
    {%- endif -%}
    cast('{{ found or "1900-01-01" }}' as date)
{%- endmacro %}
