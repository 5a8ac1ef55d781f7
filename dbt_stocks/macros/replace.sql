{# Incremental strategy `replace`: what the query gives takes the place of the rows that share its unique_key.

   The key is what is replaced as a whole, so it may be wider than one row: a model that computes whole days says
   (symbol, quote_date). Only the days that the new rows span are searched: meta.spans names that column. Such a model
   ends with `order by` it, so that an engine which keeps the least and the greatest value of each piece of a table
   finds a day without reading the others. #}
{% macro get_incremental_replace_sql(arguments) %}
    {% set target = arguments["target_relation"] %}
    {% set fresh = arguments["temp_relation"] %}
    {% set keys = arguments["unique_key"] | join(", ") %}
    {% set columns = arguments["dest_columns"] | map(attribute="quoted") | join(", ") %}
    {% set spans = config.get("meta", {}).get("spans") %}
    {% set bounds = none %}
    {% if spans %}
        {% set bounds = run_query("select min(" ~ spans ~ "), max(" ~ spans ~ ") from " ~ fresh).rows[0] %}
    {% endif %}
    {% set replacing %}
    {% if not spans or bounds[0] is not none %}
        delete from {{ target }}
        where ({{ keys }}) in (select {{ keys }} from {{ fresh }})
        {% if spans %}
            and {{ spans }} between '{{ bounds[0] }}' and '{{ bounds[1] }}'
        {% endif %}
        ;
    {% endif %}
    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ fresh }}
    {% endset %}
    {% do return(adapter.dispatch("at_once")(replacing)) %}
{% endmacro %}


{# These statements as one transaction: dbt opens one of its own, but on Snowflake, where each statement would be one. #}
{% macro default__at_once(statements) %}
    {% do return(statements) %}
{% endmacro %}

{% macro snowflake__at_once(statements) %}
    {% do return(snowflake_dml_explicit_transaction(statements)) %}
{% endmacro %}
