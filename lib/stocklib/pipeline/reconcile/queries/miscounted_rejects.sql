-- (object, lines that were rejected, rows in rejected_lines) where the two differ.
with remembered as (
    select object_key, max(rejected_lines) as rejected from raw.load_history group by object_key
),
there as (
    select object_key, count(*) as found from raw.rejected_lines group by object_key
)
select coalesce(r.object_key, t.object_key), coalesce(r.rejected, 0), coalesce(t.found, 0)
from remembered as r
full outer join there as t on r.object_key = t.object_key
where coalesce(r.rejected, 0) <> coalesce(t.found, 0)
order by 1
limit {most}
