with landed as (

    select * from {{ source("raw", "stock_quotes") }}

),

renamed as (

    select
        {{ json_text("payload.symbol") }} as symbol,
        {{ json_price("payload.c") }} as current_price,
        {{ json_price("payload.d") }} as change_amount,
        {{ json_price("payload.dp") }} as change_percent,
        {{ json_price("payload.h") }} as day_high,
        {{ json_price("payload.l") }} as day_low,
        {{ json_price("payload.o") }} as day_open,
        {{ json_price("payload.pc") }} as prev_close,
        {{ json_is_price_out_of_range(
            ["payload.c", "payload.h", "payload.l", "payload.o", "payload.pc"]
        ) }} as is_out_of_range,
        {{ json_instant("payload.t") }} as market_timestamp,
        {{ json_instant("payload.fetched_at") }} as fetched_at,
        {{ message_columns() }}
    from landed

)

select * from renamed
