{#- Publishing: zero-copy clones of the private schemas, swapped in one by one, gold last.

    The role that reads (`reader`; empty where there is none) has its grants on the clones before these take the old
    names, so it is never shut out, and a schema is the old version or the new one, never half. A clone copies nothing
    but names. Views say schema.table without a database, so those of a clone read the clones of their own database. RAW
    is cloned for the bronze views alone, which read it in their owner's name. -#}
{% set order = ("raw", "ops", "bronze", "silver", "gold") -%}
{% for schema in order %}
create schema if not exists {{ published }}.{{ schema }};
create or replace schema {{ published }}.{{ schema }}_next clone {{ build }}.{{ schema }};
{% if reader and schema != "raw" %}
grant usage on schema {{ published }}.{{ schema }}_next to role {{ reader }};
grant select on all tables in schema {{ published }}.{{ schema }}_next to role {{ reader }};
grant select on all views in schema {{ published }}.{{ schema }}_next to role {{ reader }};
{% endif %}
{% endfor %}
{% for schema in order %}
alter schema {{ published }}.{{ schema }} swap with {{ published }}.{{ schema }}_next;
{% endfor %}
{% for schema in order %}
drop schema if exists {{ published }}.{{ schema }}_next;
{% endfor %}
