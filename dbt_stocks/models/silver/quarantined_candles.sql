{{ config(materialized="view") }}

with versions as (

    select * from {{ ref("int_candle_versions") }}

),

rejected as (

    select
        symbol,
        quote_date,
        reject_reason as reason,
        answered_open as open_price,
        answered_high as high_price,
        answered_low as low_price,
        answered_close as close_price,
        answered_volume as volume,
        data_source,
        fetched_at,
        dataset,
        object_key,
        line_no,
        load_id
    from versions
    where reject_reason is not null

)

select * from rejected
