{# A schema is called what it is called: raw, bronze, silver, gold; never <target>_gold. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}


{# A view keeps its tables' names as they are written here. The local warehouse is published as a copy under another
   file name, which is the database's name too, and Snowflake's as a clone in another database: so no name holds it. #}
{% macro source() %}
    {% do return(adapter.dispatch("without_database")(builtins.source(*varargs, **kwargs))) %}
{% endmacro %}

{% macro ref() %}
    {% do return(adapter.dispatch("without_database")(builtins.ref(*varargs, **kwargs))) %}
{% endmacro %}

{% macro default__without_database(relation) %}
    {% do return(relation) %}
{% endmacro %}

{% macro duckdb__without_database(relation) %}
    {% do return(relation.include(database=false)) %}
{% endmacro %}

{% macro snowflake__without_database(relation) %}
    {% do return(relation.include(database=false)) %}
{% endmacro %}
