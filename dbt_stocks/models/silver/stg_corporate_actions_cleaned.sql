{{ config(unique_key=["symbol"]) }}
{% set since = since_load() %}
{% set asking = "symbol, kind, data_source, asking_no" %}
{% set dated = "symbol, kind, data_source, action_date" %}
{% set of_streak = dated ~ ", streak_no" %}
{% set in_order = "over (partition by a.symbol, a.kind, a.data_source order by a.asking_no)" %}

-- The splits and dividends that count, from every answer that a source ever gave. For each source and date the newest
-- answer that covers the date decides, if it is believed. A symbol with a new record is computed again.
--
-- An example of one source. Asked on 1 March for all of the year, it lists a split of 15 February: the split counts.
-- Asked on 2 March, it lists none: one fact is missing, so the answer is believed at once, and the split is retracted.
-- Had two facts been missing, the answer would be in doubt: both would count, marked `is_doubted`, until an answer a
-- day later still lacks them.
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
answered_facts as (

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

-- facts without a record of asking are an answer about their own dates only
unchecked as (

    select distinct
        t.kind,
        t.symbol,
        t.data_source,
        t.fetched_at,
        t.object_key,
        t.action_date as checked_from,
        t.action_date as checked_to
    from answered_facts as t
    left join checked as c
        on {{ same("t", "c", "symbol, kind, data_source, fetched_at, object_key") }}
        and t.action_date between c.checked_from and c.checked_to
    where c.symbol is null

),

-- numbered in the order of asking; a record of asking comes before facts that were fetched at the same instant
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
    ) as all_askings

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
    from answered_facts as t
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

-- each answer with its neighbours: one that equals both is left out
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

kept_answers as (

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

-- the content of each answer on each date on which any answer ever had a fact
contents_by_date as (

    select
        d.symbol,
        d.kind,
        d.data_source,
        d.action_date,
        k.asking_no,
        k.fetched_at,
        coalesce(c.content, '') as content
    from (select distinct {{ dated }} from answered_facts) as d
    inner join kept_answers as k
        on {{ same("d", "k", "symbol, kind, data_source") }}
        and d.action_date between k.checked_from and k.checked_to
    left join contents as c
        on {{ same("d", "c", dated) }}
        and k.asking_no = c.asking_no

),

with_previous as (

    select
        *,
        lag(content) over (partition by {{ dated }} order by asking_no) as content_before,
        lag(asking_no) over (partition by {{ dated }} order by asking_no) as asking_before
    from contents_by_date

),

numbered_streaks as (

    select
        *,
        sum(case when content = content_before then 0 else 1 end) over (
            partition by {{ dated }} order by asking_no rows between unbounded preceding and current row
        ) as streak_no
    from with_previous

),

-- a streak: consecutive answers with the same content on a date
streaks as (

    select
        {{ of_streak }},
        min(asking_no) as first_asking,
        min(asking_before) as asking_before,
        min(fetched_at) as began_at,
        max(fetched_at) as ended_at,
        min(content) as content
    from numbered_streaks
    group by {{ of_streak }}

),

-- how many facts a streak lacks that the streak before it had
missing_facts as (

    select
        r.symbol,
        r.kind,
        r.data_source,
        r.action_date,
        r.streak_no,
        cast(sum(greatest(b.times - coalesce(n.times, 0), 0)) as integer) as lacking
    from streaks as r
    inner join facts as b
        on {{ same("r", "b", dated) }}
        and r.asking_before = b.asking_no
    left join facts as n
        on {{ same("r", "n", dated) }}
        and r.first_asking = n.asking_no
        and b.fact = n.fact
    where r.streak_no > 1
    group by r.symbol, r.kind, r.data_source, r.action_date, r.streak_no

),

weighed_streaks as (

    select
        r.*,
        coalesce(l.lacking, 0) as lacking,
        sum(coalesce(l.lacking, 0)) over (
            partition by r.symbol, r.kind, r.data_source, r.first_asking
        ) as lacking_at_first
    from streaks as r
    left join missing_facts as l
        on {{ same("r", "l", of_streak) }}

),

-- during the first day after a fact went missing: how many doubtful facts each answer lacks
first_day as (

    select
        n.symbol,
        n.kind,
        n.data_source,
        n.action_date,
        n.streak_no,
        n.asking_no,
        w.lacking,
        case when w.lacking_at_first > 1 or n.asking_no = w.first_asking then w.lacking else 0 end as doubtful
    from numbered_streaks as n
    inner join weighed_streaks as w
        on {{ same("n", "w", of_streak) }}
    where w.lacking > 0 and n.fetched_at < {{ a_day_after("w.began_at") }}

),

counted_missing as (

    select
        {{ of_streak }},
        sum(doubtful) over (partition by {{ asking }}) + lacking - doubtful as lacking_in_all
    from first_day

),

fewest_missing as (

    select
        {{ of_streak }},
        min(lacking_in_all) as lacking_in_all
    from counted_missing
    group by {{ of_streak }}

),

believed as (

    select
        w.*,
        w.lacking = 0
        or f.lacking_in_all <= 1
        or w.ended_at >= {{ a_day_after("w.began_at") }} as is_believed
    from weighed_streaks as w
    left join fewest_missing as f
        on {{ same("w", "f", of_streak) }}

),

newest_contents as (

    select
        {{ dated }},
        max_by(content, streak_no) as content
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
        qualify row_number() over (partition by {{ dated }} order by streak_no desc) = 1
    ) as b
    inner join newest_contents as n
        on {{ same("b", "n", dated) }}

),

-- one row a fact, from the last line that has it; equal facts of one answer are numbered
last_lines as (

    select *
    from (
        select
            *,
            row_number() over (
                partition by {{ dated }}, fetched_at, object_key, fact order by line_no
            ) as fact_no
        from answered_facts
    ) as repeated
    qualify row_number() over (
        partition by {{ dated }}, fact, fact_no order by fetched_at desc, object_key desc, line_no
    ) = 1

),

flagged as (

    select
        l.*,
        l.fact_no > coalesce(f.times, 0) as is_retracted,
        l.fact_no <= coalesce(f.times, 0) and d.is_newest_source as is_counted,
        d.is_doubted,
        t.load_id as touched_load_id
    from last_lines as l
    inner join decided as d
        on {{ same("l", "d", dated) }}
    left join facts as f
        on {{ same("l", "f", dated ~ ", fact") }}
        and d.first_asking = f.asking_no
    inner join touched as t on l.symbol = t.symbol

),

-- a change recomputes the symbol's whole history, so an answer that repeats the last one is no change
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
    from flagged as j
    {% if is_incremental() %}
    left join {{ this }} as k
        on {{ same("j", "k", dated ~ ", fact, fact_no, is_counted") }}
    {% endif %}

)

select * from actions
