{{ config(unique_key=["symbol", "action_date", "kind"]) }}

-- A split counts from its date on: one that was announced when it was asked for is taken in by the next asking.
with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}
    where load_id > {{ since_load() }}
        and symbol is not null and action_date is not null and fetched_at is not null
        and (
            (kind = 'split' and from_factor > 0 and to_factor > 0 and action_date <= {{ new_york_date("fetched_at") }})
            or (kind = 'dividend' and amount > 0)
        )

),

known as (

    select
        symbol,
        action_date,
        kind,
        from_factor,
        to_factor,
        amount,
        coalesce(split_adjusted, false) as split_adjusted,
        data_source,
        fetched_at,
        object_key,
        line_no,
        load_id,
        load_id as changed_load_id,
        1 as is_new
    from landed
    {% if is_incremental() %}
    union all
    select *, 0 as is_new
    from {{ this }}
    where (symbol, action_date, kind) in (select symbol, action_date, kind from landed)
    {% endif %}

),

ordered as (

    select
        *,
        row_number() over (
            partition by symbol, action_date, kind order by fetched_at desc, object_key, line_no
        ) as age,
        max(case when is_new = 0 then changed_load_id end) over (
            partition by symbol, action_date, kind
        ) as old_changed_load_id,
        max(case when is_new = 0 then from_factor end) over (partition by symbol, action_date, kind) as old_from_factor,
        max(case when is_new = 0 then to_factor end) over (partition by symbol, action_date, kind) as old_to_factor,
        max(case when is_new = 0 then amount end) over (partition by symbol, action_date, kind) as old_amount
    from known

),

-- asked again and answered the same is no change: whole histories hang on it
latest as (

    select
        symbol,
        action_date,
        kind,
        from_factor,
        to_factor,
        amount,
        split_adjusted,
        data_source,
        fetched_at,
        object_key,
        line_no,
        load_id,
        case
            when old_changed_load_id is not null
                and coalesce(from_factor, -1) = coalesce(old_from_factor, -1)
                and coalesce(to_factor, -1) = coalesce(old_to_factor, -1)
                and coalesce(amount, -1) = coalesce(old_amount, -1)
                then old_changed_load_id
            else load_id
        end as changed_load_id
    from ordered
    where age = 1

)

select * from latest
