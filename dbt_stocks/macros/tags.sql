{# Snowflake: each statement says in its query tag for which run and model it works, which `stocks cost` adds up. A test
   counts to its model. The next model sets a tag of its own, so that none is taken back. #}
{% macro snowflake__set_query_tag() %}
    {% set tested = model.attached_node.split(".")[2] if model.attached_node else model.name %}
    {% do run_query(
        "alter session set query_tag = 'stocks:dbt:" ~ env_var("STOCKS_RUN", "by hand") ~ ":" ~ tested ~ "'"
    ) %}
    {% do return("") %}
{% endmacro %}

{% macro snowflake__unset_query_tag(original_query_tag) %}{% endmacro %}
