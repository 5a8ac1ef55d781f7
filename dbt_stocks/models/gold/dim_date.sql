with calendar as (

    select * from {{ ref("stg_trading_sessions") }}

),

last_quote as (

    select max(last_quote_date) as quote_date from {{ ref("dim_stock_symbols") }}

),

-- to the end of the year after the last quote, whatever today is
days as (

    select c.*
    from calendar as c
    cross join last_quote as q
    where extract(year from c.calendar_date) <= extract(year from q.quote_date) + 1

),

described as (

    select
        calendar_date,
        cast(extract(year from calendar_date) as integer) as year,
        cast(extract(quarter from calendar_date) as integer) as quarter,
        cast(extract(month from calendar_date) as integer) as month,
        {{ month_name("calendar_date") }} as month_name,
        {{ iso_day_of_week("calendar_date") }} as day_of_week,
        {{ day_name("calendar_date") }} as day_name,
        is_trading_day,
        is_early_close,
        session_open,
        session_close,
        holiday
    from days

)

select * from described
