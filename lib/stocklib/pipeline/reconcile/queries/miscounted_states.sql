-- (symbol, day, events, events that the states count) where the two differ, on the days that the loads touched.
with touched as (
    select min(quote_date) as first_day, max(quote_date) as last_day
    from {stream.events} where load_id > {span.since} and load_id <= {span.upto}
),
events as (
    select symbol, quote_date, count(distinct event_id) as found, max(load_id) as load_id
    from {stream.events}
    where reject_reason is null
        and quote_date between (select first_day from touched) and (select last_day from touched)
    group by symbol, quote_date
),
states as (
    select traded_symbol as symbol, quote_date, sum(times_seen) as counted, max(load_id) as load_id
    from {stream.states}
    where quote_date between (select first_day from touched) and (select last_day from touched)
    group by traded_symbol, quote_date
)
select coalesce(e.symbol, s.symbol), coalesce(e.quote_date, s.quote_date),
    coalesce(e.found, 0), coalesce(s.counted, 0)
from events as e
full outer join states as s on e.symbol = s.symbol and e.quote_date = s.quote_date
where coalesce(e.found, 0) <> coalesce(s.counted, 0) and coalesce(e.load_id, s.load_id) <= {span.upto}
order by 2, 1
limit {most}
