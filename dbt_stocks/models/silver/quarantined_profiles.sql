{{ config(materialized="view") }}

with landed as (

    select * from {{ ref("stg_company_profiles_raw") }}

),

judged as (

    select
        symbol,
        {{ profile_fault() }} as reason,
        company_name,
        shares_outstanding_millions,
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
