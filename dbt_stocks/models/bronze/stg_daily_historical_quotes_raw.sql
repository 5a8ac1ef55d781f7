with landed as (

    select * from {{ source("raw", "daily_historical_quotes") }}

),

renamed as (

    select
        {{ candle_columns() }}
    from landed

)

select * from renamed
