{# What only a whole build does: compare each contract with its query, and write descriptions as comments. A changed
   model or description makes the next build a whole one, so a micro-batch would find what it found before.

   A small table that a micro-batch makes again loses its comments. On DuckDB they are written again, which costs a
   millisecond; on Snowflake they are statements, and wait for the next whole build. #}

{% macro default__get_assert_columns_equivalent(sql) -%}
    {% if var("is_whole_build") %}
        {% do return(dbt.assert_columns_equivalent(sql)) %}
    {% endif %}
{%- endmacro %}


{# In one statement: dbt's own asks twice for the columns, of which a test compares names and descriptions. #}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
    {% if var("is_whole_build") or model.config.materialized == "table" %}
        {% set comments %}
            {{ duckdb__alter_relation_comment(relation, model.description) }}
            {% for column in model.columns.values() %}
            comment on column {{ relation }}.{{ column.name }} is {{ duckdb_escape_comment(column.description) }};
            {% endfor %}
        {% endset %}
        {% do run_query(comments) %}
    {% endif %}
{%- endmacro %}

{% macro snowflake__persist_docs(relation, model, for_relation, for_columns) -%}
    {% if var("is_whole_build") %}
        {% do return(dbt.snowflake__persist_docs(relation, model, for_relation, for_columns)) %}
    {% endif %}
{%- endmacro %}


{# A contract puts the model's query into another one, whose rows have no order there: a model that ends with `order by`
   keeps it, so that a day is found without reading the others. #}
{% macro snowflake__get_select_subquery(sql) -%}
    {% set spans = config.get("meta", {}).get("spans") %}
    {{ dbt.default__get_select_subquery(sql) }}
    {% if spans %}
    order by {{ spans }}
    {% endif %}
{%- endmacro %}
