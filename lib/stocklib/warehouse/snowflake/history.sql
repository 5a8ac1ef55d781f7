{#- The statements that ended between two instants, from the account's history of the last seven days. -#}
select query_id, coalesce(query_tag, '') as tag, coalesce(warehouse_size, '') as size,
    start_time::timestamp_ntz as began_at, end_time::timestamp_ntz as ended_at,
    total_elapsed_time::double as milliseconds, coalesce(bytes_scanned, 0)::bigint as bytes
from table({{ database }}.information_schema.query_history(end_time_range_start =>
    to_timestamp_ltz('{{ since.strftime("%Y-%m-%dT%H:%M:%SZ") }}'), end_time_range_end =>
    to_timestamp_ltz('{{ until.strftime("%Y-%m-%dT%H:%M:%SZ") }}'), result_limit => {{ most }}));
