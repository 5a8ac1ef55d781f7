-- The number of loaded lines, and of rows in RAW, of a dataset.
select
    (select coalesce(sum(loaded_lines), 0) from raw.load_history where dataset = '{dataset}'),
    (select count(*) from raw.{dataset})
