with calendar as (

    select * from {{ source("raw", "trading_sessions") }}

)

select * from calendar
