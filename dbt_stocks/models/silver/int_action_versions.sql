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
        -- what a line says in a field of the other kind is nothing that we asked for
        case when kind = 'split' then from_factor end as from_factor,
        case when kind = 'split' then to_factor end as to_factor,
        case when kind = 'dividend' then amount end as amount,
        {{ action_source() }} as data_source,
        fetched_at,
        object_key,
        line_no,
        load_id
    from landed

)

select * from versions
