-- (object, times loaded, lines that were loaded, rows in RAW, distinct lines in RAW) where these disagree.
with remembered as (
    select object_key, count(*) as times, max(loaded_lines) as loaded_lines
    from raw.load_history where dataset = '{dataset}' group by object_key
),
there as (
    select object_key, count(*) as found, count(distinct line_no) as lines
    from raw.{dataset} group by object_key
)
select coalesce(r.object_key, t.object_key), coalesce(r.times, 0), coalesce(r.loaded_lines, 0),
    coalesce(t.found, 0), coalesce(t.lines, 0)
from remembered as r
full outer join there as t on r.object_key = t.object_key
where coalesce(r.times, 0) <> 1 or coalesce(r.loaded_lines, 0) <> coalesce(t.found, 0)
    or coalesce(t.found, 0) <> coalesce(t.lines, 0)
order by 1
limit {most}
