{{ config(materialized="view") }}

with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}

),

judged as (

    select
        symbol,
        action_date,
        kind,
        {{ action_fault() }} as reason,
        from_factor,
        to_factor,
        amount,
        data_source,
        fetched_at,
        object_key,
        line_no,
        load_id
    from landed

),

rejected as (

    select * from judged
    where reason is not null

)

select * from rejected
