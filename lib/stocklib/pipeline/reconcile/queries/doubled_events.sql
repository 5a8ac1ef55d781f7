-- (event, times) of events that silver has more than once.
select event_id, count(*) from {stream.events} group by event_id having count(*) > 1 order by event_id limit {most}
