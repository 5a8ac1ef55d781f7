{#- The tables that dbt does not make: RAW, the trading calendar, and ops. `place` is a database and a point, or empty.
    A column that an older release lacks is here twice: in its table, and at the end. -#}
{% set record, timestamp = ("variant", "timestamp_ntz") if snowflake else ("json", "timestamp") -%}
{% for schema in schemas if snowflake or schema in ("raw", "ops") %}
create schema if not exists {{ place }}{{ schema }};
{% endfor %}
{% if snowflake %}
create file format if not exists {{ place }}raw.ndjson type = json;
create stage if not exists {{ place }}raw.landing;
{% endif %}
{% for dataset in datasets %}
create table if not exists {{ place }}raw.{{ dataset }} (record {{ record }} not null, object_key varchar not null,
    line_no integer not null, load_id bigint not null, loaded_at {{ timestamp }} not null);
{% endfor %}
create table if not exists {{ place }}raw.load_history (dataset varchar, object_key varchar, load_id bigint,
    lines bigint, loaded_lines bigint, rejected_lines bigint, bytes bigint, loaded_at {{ timestamp }});
create table if not exists {{ place }}raw.rejected_lines (dataset varchar, object_key varchar, line_no integer,
    raw_text varchar, reason varchar, load_id bigint, loaded_at {{ timestamp }});
create table if not exists {{ place }}raw.trading_sessions (calendar_date date, is_trading_day boolean,
    is_early_close boolean, session_open {{ timestamp }}, session_close {{ timestamp }}, holiday varchar,
    session_number integer, calendar varchar);
create table if not exists {{ place }}ops.schema_version (version integer, calendar varchar);
create table if not exists {{ place }}ops.warehouse_source (kind varchar, first_object varchar);
create table if not exists {{ place }}ops.model_loads (model varchar, load_id bigint, finished_at {{ timestamp }});
create table if not exists {{ place }}ops.builds (load_id bigint, logic varchar, inputs varchar,
    finished_at {{ timestamp }}, whole_at {{ timestamp }});
create table if not exists {{ place }}ops.unreadable_objects (dataset varchar, object_key varchar, reason varchar,
    first_seen_at {{ timestamp }}, last_tried_at {{ timestamp }});
create table if not exists {{ place }}ops.freshness (dataset varchar, last_object varchar, load_id bigint,
    loaded_at {{ timestamp }});
create table if not exists {{ place }}ops.pipeline_runs (verb varchar, status varchar, load_id bigint, detail varchar,
    started_at {{ timestamp }}, finished_at {{ timestamp }});
create table if not exists {{ place }}ops.ledger (checked_at {{ timestamp }}, kafka_topic varchar,
    kafka_topic_id varchar, kafka_partition integer, quote_date date, landed bigint, loaded bigint, in_silver bigint,
    quarantined bigint, duplicates bigint, waiting bigint, dead_letters bigint, readmitted bigint, lost bigint);
create table if not exists {{ place }}ops.ledger_runs (checked_at {{ timestamp }}, run_id varchar, confirmed bigint,
    in_raw bigint, in_lake bigint, in_kafka bigint, dead_letters bigint, lost bigint);
create table if not exists {{ place }}ops.ledger_problems (checked_at {{ timestamp }}, problem varchar, hop varchar,
    kind varchar, what varchar, messages bigint, accepted boolean);
create table if not exists {{ place }}ops.ledger_unchecked (checked_at {{ timestamp }}, hop varchar, reason varchar);
create table if not exists {{ place }}ops.ledger_accepted (problem varchar, accepted_at {{ timestamp }}, what varchar);
{% if not snowflake %}
{# what publishing changed; a clone of Snowflake needs no such memory #}
create table if not exists ops.publications (number bigint, name varchar, load_id bigint, days date[], since date,
    is_whole boolean, published_at timestamp);
{% endif %}
alter table {{ place }}raw.trading_sessions add column if not exists session_number integer;
alter table {{ place }}raw.trading_sessions add column if not exists calendar varchar;
alter table {{ place }}ops.builds add column if not exists whole_at {{ timestamp }};
