with landed as (

    select * from {{ source("raw", "stock_trades") }}

),

renamed as (

    select
        {{ json_text("payload.s") }} as symbol,
        {{ json_price("payload.p") }} as price,
        {{ json_is_price_out_of_range(["payload.p"]) }} as is_out_of_range,
        {{ json_as("double", "payload.v") }} as volume,
        {{ json_text("payload.c") }} as conditions,
        {{ json_instant("payload.t", per_second=1000) }} as market_timestamp,
        {{ json_instant("payload.fetched_at") }} as fetched_at,
        {{ json_instant("payload.since") }} as covered_since,
        {{ message_columns() }}
    from landed

)

select * from renamed
