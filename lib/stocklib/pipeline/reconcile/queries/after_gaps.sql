-- (run, symbol, seq) of new events whose predecessor silver does not have.
with fresh as (
    select distinct run_id, symbol, seq from {stream.events}
    where load_id > {span.since} and run_id is not null and symbol is not null and seq is not null
),
starts as (
    select f.run_id, f.symbol, f.seq
    from fresh as f
    left join fresh as p on f.run_id = p.run_id and f.symbol = p.symbol and f.seq = p.seq + 1
    where p.seq is null and f.seq > 1
)
select s.run_id, s.symbol, s.seq
from starts as s
left join {stream.events} as e on s.run_id = e.run_id and s.symbol = e.symbol and s.seq = e.seq + 1
where e.seq is null
order by 1, 2, 3
limit {most}
