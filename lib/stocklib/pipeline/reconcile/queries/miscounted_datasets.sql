-- (dataset) of which RAW has more or fewer rows than its loads brought. `there` is the number of rows by dataset.
with remembered as (
    select dataset, sum(loaded_lines) as loaded_lines from raw.load_history group by dataset
),
there as (
    {there}
)
select t.dataset
from there as t
left join remembered as r on t.dataset = r.dataset
where t.found <> coalesce(r.loaded_lines, 0)
order by t.dataset
