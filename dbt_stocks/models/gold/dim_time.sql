-- Minutes of a New York day.
with digits as (

    select column1 as digit from (values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) as listed (column1)

),

minutes as (

    select ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit as minute_of_day
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands
    where ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit < 1440

),

split as (

    select
        cast(minute_of_day as integer) as minute_of_day,
        cast(floor(minute_of_day / 60) as integer) as hour,
        cast(mod(minute_of_day, 60) as integer) as minute
    from minutes

),

described as (

    select
        minute_of_day,
        lpad(cast(hour as varchar), 2, '0') || ':' || lpad(cast(minute as varchar), 2, '0') as time_of_day,
        hour,
        minute,
        case when hour < 12 then 'AM' else 'PM' end as ampm,
        case
            when minute_of_day between 240 and 569 then 'Pre-Market'
            when minute_of_day between 570 and 959 then 'Regular'
            when minute_of_day between 960 and 1199 then 'Post-Market'
            else 'Closed'
        end as market_period,
        minute_of_day between 570 and 959 as is_market_open
    from split

)

select * from described
