-- (line number) of each row of an object in RAW. Parameter: the object's key.
select line_no from raw.{dataset} where object_key = ?
