{{ config(unique_key=["symbol"]) }}
{% set since = since_load() %}
{% set asking = "symbol, kind, data_source, asking_no" %}
{% set dated = "symbol, kind, data_source, action_date" %}
{% set of_run = dated ~ ", run_no" %}
{% set in_order = "over (partition by a.symbol, a.kind, a.data_source order by a.asking_no)" %}

-- What the sources say of a symbol by now, of all that they ever said: a symbol with a new landed record is computed
-- again. For each source and date the newest answer that covers the date decides, if it is believed.
with versions as (

    select * from {{ ref("int_action_versions") }}

),

checks as (

    select 'split' as kind, * from {{ ref("int_split_checks") }}
    union all
    select 'dividend' as kind, * from {{ ref("int_dividend_checks") }}

),

touched as (

    select symbol, max(load_id) as load_id
    from (
        select symbol, load_id from versions
        where load_id > {{ since }}
        union all
        select symbol, load_id from checks
        where load_id > {{ since }}
    ) as news
    group by symbol

),

-- a split that an answer lists twice is one; equal dividends in one answer are two
told as (

    select
        *,
        case
            when kind = 'split' then cast(from_factor as varchar) || ':' || cast(to_factor as varchar)
            else cast(round(amount, 6) as varchar)
        end as fact
    from versions
    where symbol in (select symbol from touched)
    qualify kind = 'dividend' or row_number() over (
        partition by symbol, kind, data_source, fetched_at, object_key, action_date order by line_no
    ) = 1

),

checked as (

    select kind, symbol, data_source, fetched_at, object_key, checked_from, checked_to from checks
    where symbol in (select symbol from touched)

),

-- facts that came without a record of asking speak of their own dates alone
unchecked as (

    select distinct
        t.kind,
        t.symbol,
        t.data_source,
        t.fetched_at,
        t.object_key,
        t.action_date as checked_from,
        t.action_date as checked_to
    from told as t
    left join checked as c
        on {{ same("t", "c", "symbol, kind, data_source, fetched_at, object_key") }}
        and t.action_date between c.checked_from and c.checked_to
    where c.symbol is null

),

-- in the order of asking; the facts of one instant do not contradict a check of it in another object
askings as (

    select
        *,
        row_number() over (
            partition by symbol, kind, data_source
            order by fetched_at, is_unchecked, object_key, checked_from, checked_to
        ) as asking_no
    from (
        select *, 0 as is_unchecked from checked
        union all
        select *, 1 as is_unchecked from unchecked
    ) as asked

),

facts as (

    select
        a.symbol,
        a.kind,
        a.data_source,
        a.asking_no,
        t.action_date,
        t.fact,
        count(*) as times
    from told as t
    inner join askings as a
        on {{ same("t", "a", "symbol, kind, data_source, fetched_at, object_key") }}
        and t.action_date between a.checked_from and a.checked_to
    group by a.symbol, a.kind, a.data_source, a.asking_no, t.action_date, t.fact

),

contents as (

    select
        {{ asking }},
        action_date,
        {{ text_of_group("fact || '*' || cast(times as varchar)", order_by="fact") }} as content
    from facts
    group by {{ asking }}, action_date

),

answers as (

    select
        {{ asking }},
        {{ text_of_group("cast(action_date as varchar) || '=' || content", order_by="action_date") }} as answer
    from contents
    group by {{ asking }}

),

-- an answer like the one before it and the one after it adds nothing
compared as (

    select
        a.*,
        coalesce(w.answer, '') as answer,
        lag(coalesce(w.answer, '')) {{ in_order }} as answer_before,
        lead(coalesce(w.answer, '')) {{ in_order }} as answer_after,
        lag(a.checked_from) {{ in_order }} as from_before,
        lead(a.checked_from) {{ in_order }} as from_after,
        lag(a.checked_to) {{ in_order }} as to_before,
        lead(a.checked_to) {{ in_order }} as to_after
    from askings as a
    left join answers as w
        on {{ same("a", "w", asking) }}

),

kept as (

    select * from compared
    where not coalesce(
        answer = answer_before
        and answer = answer_after
        and checked_from = from_before
        and checked_from = from_after
        and checked_to between to_before and to_after,
        false
    )

),

-- what each of these answers says of each date that any of them ever had a fact of
said as (

    select
        d.symbol,
        d.kind,
        d.data_source,
        d.action_date,
        k.asking_no,
        k.fetched_at,
        coalesce(c.content, '') as content
    from (select distinct {{ dated }} from told) as d
    inner join kept as k
        on {{ same("d", "k", "symbol, kind, data_source") }}
        and d.action_date between k.checked_from and k.checked_to
    left join contents as c
        on {{ same("d", "c", dated) }}
        and k.asking_no = c.asking_no

),

before as (

    select
        *,
        lag(content) over (partition by {{ dated }} order by asking_no) as content_before,
        lag(asking_no) over (partition by {{ dated }} order by asking_no) as asking_before
    from said

),

numbered as (

    select
        *,
        sum(case when content = content_before then 0 else 1 end) over (
            partition by {{ dated }} order by asking_no rows between unbounded preceding and current row
        ) as run_no
    from before

),

-- a run: answers in a row that say the same of a date
runs as (

    select
        {{ of_run }},
        min(asking_no) as first_asking,
        min(asking_before) as asking_before,
        min(fetched_at) as began_at,
        max(fetched_at) as ended_at,
        min(content) as content
    from numbered
    group by {{ of_run }}

),

-- how many facts a run lacks that the one before it had, and how many its first answer lacks in all
lost as (

    select
        r.symbol,
        r.kind,
        r.data_source,
        r.action_date,
        r.run_no,
        cast(sum(greatest(b.times - coalesce(n.times, 0), 0)) as integer) as lacking
    from runs as r
    inner join facts as b
        on {{ same("r", "b", dated) }}
        and r.asking_before = b.asking_no
    left join facts as n
        on {{ same("r", "n", dated) }}
        and r.first_asking = n.asking_no
        and b.fact = n.fact
    where r.run_no > 1
    group by r.symbol, r.kind, r.data_source, r.action_date, r.run_no

),

weighed as (

    select
        r.*,
        coalesce(l.lacking, 0) as lacking,
        sum(coalesce(l.lacking, 0)) over (
            partition by r.symbol, r.kind, r.data_source, r.first_asking
        ) as lacking_at_first
    from runs as r
    left join lost as l
        on {{ same("r", "l", of_run) }}

),

-- for a day after a fact was missed first: how many facts that are in doubt each answer lacks
young as (

    select
        n.symbol,
        n.kind,
        n.data_source,
        n.action_date,
        n.run_no,
        n.asking_no,
        w.lacking,
        case when w.lacking_at_first > 1 or n.asking_no = w.first_asking then w.lacking else 0 end as doubtful
    from numbered as n
    inner join weighed as w
        on {{ same("n", "w", of_run) }}
    where w.lacking > 0 and n.fetched_at < {{ a_day_after("w.began_at") }}

),

counted as (

    select
        {{ of_run }},
        sum(doubtful) over (partition by {{ asking }}) + lacking - doubtful as lacking_in_all
    from young

),

fewest as (

    select
        {{ of_run }},
        min(lacking_in_all) as lacking_in_all
    from counted
    group by {{ of_run }}

),

believed as (

    select
        w.*,
        w.lacking = 0
        or f.lacking_in_all <= 1
        or w.ended_at >= {{ a_day_after("w.began_at") }} as is_believed
    from weighed as w
    left join fewest as f
        on {{ same("w", "f", of_run) }}

),

newest as (

    select
        {{ dated }},
        max_by(content, run_no) as content
    from believed
    group by {{ dated }}

),

decided as (

    select
        b.symbol,
        b.kind,
        b.data_source,
        b.action_date,
        b.first_asking,
        b.content <> n.content as is_doubted,
        row_number() over (
            partition by b.symbol, b.kind, b.action_date
            order by case when b.content = '' then 1 else 0 end, b.ended_at desc, b.data_source
        ) = 1 as is_newest_source
    from (
        select * from believed
        where is_believed
        qualify row_number() over (partition by {{ dated }} order by run_no desc) = 1
    ) as b
    inner join newest as n
        on {{ same("b", "n", dated) }}

),

-- each fact once, of equal ones in one answer each, as it was told last
lines as (

    select *
    from (
        select
            *,
            row_number() over (
                partition by {{ dated }}, fetched_at, object_key, fact order by line_no
            ) as fact_no
        from told
    ) as repeated
    qualify row_number() over (
        partition by {{ dated }}, fact, fact_no order by fetched_at desc, object_key desc, line_no
    ) = 1

),

judged as (

    select
        l.*,
        l.fact_no > coalesce(f.times, 0) as is_retracted,
        l.fact_no <= coalesce(f.times, 0) and d.is_newest_source as is_counted,
        d.is_doubted,
        t.load_id as touched_load_id
    from lines as l
    inner join decided as d
        on {{ same("l", "d", dated) }}
    left join facts as f
        on {{ same("l", "f", dated ~ ", fact") }}
        and d.first_asking = f.asking_no
    inner join touched as t on l.symbol = t.symbol

),

-- asked again and answered the same is no change: whole histories hang on it
actions as (

    select
        j.symbol,
        j.action_date,
        j.kind,
        j.data_source,
        j.fact,
        j.fact_no,
        j.from_factor,
        j.to_factor,
        j.amount,
        j.is_counted,
        j.is_retracted,
        j.is_doubted,
        j.fetched_at,
        j.object_key,
        j.line_no,
        j.load_id,
        {% if is_incremental() %} coalesce(k.changed_load_id, j.touched_load_id) {% else %} j.touched_load_id {% endif %}
            as changed_load_id
    from judged as j
    {% if is_incremental() %}
    left join {{ this }} as k
        on {{ same("j", "k", dated ~ ", fact, fact_no, is_counted") }}
    {% endif %}

)

select * from actions
