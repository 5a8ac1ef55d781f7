-- (line number, rows) of an object in RAW. Parameter: the object's key.
select line_no, count(*) from raw.{dataset} where object_key = ? group by line_no
