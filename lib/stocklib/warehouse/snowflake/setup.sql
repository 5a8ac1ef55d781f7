{#- What Snowflake needs once: databases, a warehouse that suspends, three roles with least grants, a resource monitor.
    Every statement may run again. -#}
{% set loader, transformer, reporter = database ~ "_LOADER", database ~ "_TRANSFORMER", database ~ "_REPORTER" -%}
{% set private = (database ~ "_BUILD", database ~ "_REBUILD") -%}
create resource monitor if not exists {{ database }}_MONITOR with credit_quota = 30 frequency = monthly
    start_timestamp = immediately
    triggers on 80 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
create warehouse if not exists {{ warehouse }} with warehouse_size = 'XSMALL' auto_suspend = 60 auto_resume = true
    initially_suspended = true resource_monitor = {{ database }}_MONITOR;
{% for each in (database,) + private %}
create database if not exists {{ each }};
create schema if not exists {{ each }}.{{ schema }};
{% endfor %}
{% for role in (loader, transformer, reporter) %}
create role if not exists {{ role }};
grant usage on warehouse {{ warehouse }} to role {{ role }};
{% endfor %}
{# to see the cost of its statements, from every user #}
{% for role in (loader, transformer) %}
grant monitor on warehouse {{ warehouse }} to role {{ role }};
{% endfor %}
{# who transforms does what a loader does and publishes; an administrator has both #}
grant role {{ loader }} to role {{ transformer }};
grant role {{ transformer }} to role SYSADMIN;

{% for each in private %}
{% with place = each ~ "." %}{% include "tables.sql" %}{% endwith %}
create table if not exists {{ each }}.{{ schema }}.writer_lock ({{ lock_columns }});
{% endfor %}
{% for each in schemas %}
create schema if not exists {{ database }}.{{ each }};
{% endfor %}

{% set build = private[0] %}
grant usage on database {{ build }} to role {{ loader }};
grant usage on schema {{ build }}.raw to role {{ loader }};
grant usage on schema {{ build }}.ops to role {{ loader }};
grant usage on schema {{ build }}.{{ schema }} to role {{ loader }};
grant create table on schema {{ build }}.raw to role {{ loader }};
grant read, write on stage {{ build }}.raw.landing to role {{ loader }};
grant usage on file format {{ build }}.raw.ndjson to role {{ loader }};
{% for each in ("raw", "ops", schema) %}
grant select, insert, update, delete on all tables in schema {{ build }}.{{ each }} to role {{ loader }};
{% endfor %}

{# only the owner of a schema replaces it: the private ones, and the published ones that clones are swapped with #}
{% for each in (database,) + private %}
grant usage, create schema on database {{ each }} to role {{ transformer }};
{% for name in schemas %}
grant ownership on schema {{ each }}.{{ name }} to role {{ transformer }} copy current grants;
grant ownership on all tables in schema {{ each }}.{{ name }} to role {{ transformer }} copy current grants;
grant ownership on all views in schema {{ each }}.{{ name }} to role {{ transformer }} copy current grants;
{% endfor %}
grant usage, create table on schema {{ each }}.{{ schema }} to role {{ transformer }};
{% endfor %}
{% for each in private %}
grant ownership on stage {{ each }}.raw.landing to role {{ transformer }} copy current grants;
grant ownership on file format {{ each }}.raw.ndjson to role {{ transformer }} copy current grants;
grant ownership on table {{ each }}.{{ schema }}.writer_lock to role {{ transformer }} copy current grants;
{% endfor %}

grant usage on database {{ database }} to role {{ reporter }};
{% for each in ("ops", "bronze", "silver", "gold") %}
grant usage on schema {{ database }}.{{ each }} to role {{ reporter }};
grant select on all tables in schema {{ database }}.{{ each }} to role {{ reporter }};
grant select on all views in schema {{ database }}.{{ each }} to role {{ reporter }};
{% endfor %}
