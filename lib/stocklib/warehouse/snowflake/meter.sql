{#- The credits of a warehouse by hour. -#}
select start_time::timestamp_ntz as hour, sum(credits_used)::double as credits
from table({{ database }}.information_schema.warehouse_metering_history(date_range_start =>
    to_timestamp_ltz('{{ since.strftime("%Y-%m-%dT%H:00:00Z") }}'), warehouse_name => '{{ warehouse }}'))
group by 1;
