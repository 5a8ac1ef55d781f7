-- (run, symbol, first, last) of the seqs that RAW holds without a gap.
with numbers as (
    select distinct run_id, symbol, seq
    from bronze.stg_{stream.dataset}_raw
    where {span.condition} and run_id is not null and symbol is not null and seq is not null
),
numbered as (
    select *, seq - row_number() over (partition by run_id, symbol order by seq) as island from numbers
)
select run_id, symbol, min(seq), max(seq) from numbered group by run_id, symbol, island
