{{ config(unique_key=["object_key", "line_no"]) }}

-- A split counts from its date on: one that was announced when it was asked for is taken in by the next asking.
with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}
    where load_id > {{ since_load() }}
        and {{ action_fault() }} is null
        and ((kind = 'split' and action_date <= {{ new_york_date("fetched_at") }}) or kind = 'dividend')

),

versions as (

    select
        symbol,
        action_date,
        kind,
        from_factor,
        to_factor,
        amount,
        {{ action_source() }} as data_source,
        fetched_at,
        object_key,
        line_no,
        load_id
    from landed

)

select * from versions
