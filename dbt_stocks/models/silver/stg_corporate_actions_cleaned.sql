{{ config(unique_key=["symbol", "action_date", "kind"]) }}
{% set since = since_load() %}
{% set fields = [
    "symbol",
    "action_date",
    "kind",
    "from_factor",
    "to_factor",
    "amount",
    "data_source",
    "fetched_at",
    "object_key",
    "line_no",
    "load_id",
] | join(", ") %}

-- A split counts from its date on: one that was announced when it was asked for is taken in by the next asking. One
-- that a later asking for its date did not repeat is retracted: it stays, marked, since bars were computed with it.
with landed as (

    select * from {{ ref("stg_corporate_actions_raw") }}
    where load_id > {{ since }}
        and {{ action_fault() }} is null
        and ((kind = 'split' and action_date <= {{ new_york_date("fetched_at") }}) or kind = 'dividend')

),

checks as (

    select * from {{ ref("int_split_checks") }}

),

{% if is_incremental() %}
touched as (

    select symbol, action_date, kind from landed
    union
    select k.symbol, k.action_date, k.kind
    from {{ this }} as k
    inner join checks as c
        on k.symbol = c.symbol and k.action_date between c.checked_from and c.checked_to
    where k.kind = 'split' and c.load_id > {{ since }}

),
{% endif %}

latest as (

    select * from (
        select {{ fields }} from landed
        {% if is_incremental() %}
        union all
        select {{ fields }} from {{ this }}
        where (symbol, action_date, kind) in (select symbol, action_date, kind from touched)
        {% endif %}
    ) as told
    qualify row_number() over (
        partition by symbol, action_date, kind order by fetched_at desc, object_key, line_no
    ) = 1

),

-- the answers to one asking share its instant, so a check that is later than the split did not bring it
denied as (

    select
        l.symbol,
        l.action_date,
        max(c.load_id) as load_id
    from latest as l
    inner join checks as c
        on l.symbol = c.symbol
        and l.action_date between c.checked_from and c.checked_to
        and l.fetched_at < c.fetched_at
    where l.kind = 'split'
    group by l.symbol, l.action_date

),

judged as (

    select
        l.*,
        d.symbol is not null as is_retracted,
        greatest(l.load_id, coalesce(d.load_id, 0)) as judged_load_id
    from latest as l
    left join denied as d on l.symbol = d.symbol and l.action_date = d.action_date and l.kind = 'split'

),

-- asked again and answered the same is no change: whole histories hang on it
actions as (

    select
        j.symbol,
        j.action_date,
        j.kind,
        j.from_factor,
        j.to_factor,
        j.amount,
        j.is_retracted,
        j.data_source,
        j.fetched_at,
        j.object_key,
        j.line_no,
        j.load_id,
        {% if is_incremental() %} coalesce(k.changed_load_id, j.judged_load_id) {% else %} j.judged_load_id {% endif %}
            as changed_load_id
    from judged as j
    {% if is_incremental() %}
    left join {{ this }} as k
        on j.symbol = k.symbol
        and j.action_date = k.action_date
        and j.kind = k.kind
        and j.is_retracted = k.is_retracted
        and coalesce(j.from_factor, -1) = coalesce(k.from_factor, -1)
        and coalesce(j.to_factor, -1) = coalesce(k.to_factor, -1)
        and coalesce(j.amount, -1) = coalesce(k.amount, -1)
    {% endif %}

)

select * from actions
