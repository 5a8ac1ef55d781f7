{# A build of a few new quotes tests what they touched; any other build tests whole tables. Which it is comes from the
   environment: the load after which everything is new, the trade days of the new events, and from when on gold changed
   (or marks for these three, where the tests are compiled once to be run again and again).

   Bronze is bounded by load, silver by the days of its events, gold from a day on. Tables without such a column are
   small, and are tested whole. #}
{% macro default__get_where_subquery(relation) %}
    {% set where = config.get("where", "") %}
    {% set touched = touched_rows() if execute else "" %}
    {% if where or touched %}
        {% do return(
            "(select * from " ~ relation ~ " where " ~ ([where, touched] | select | join(" and ")) ~ ") as dbt_subquery"
        ) %}
    {% endif %}
    {% do return(relation) %}
{% endmacro %}


{% macro touched_rows() %}
    {% set load = env_var("STOCKS_TOUCHED_LOAD", "") %}
    {% set tested = graph.nodes.get(model.attached_node) if load else none %}
    {% if tested is none %}
        {% do return("") %}
    {% endif %}
    {% set days, since = env_var("STOCKS_TOUCHED_DAYS", ""), env_var("STOCKS_TOUCHED_SINCE", "") %}
    {% set spans = tested.config.get("meta", {}).get("spans") %}
    {% if tested.schema == "bronze" and "load_id" in tested.columns %}
        {% do return("load_id > " ~ load) %}
    {% elif tested.schema == "silver" and spans %}
        {% do return(spans ~ " in (" ~ (days or "null") ~ ")") %}
    {% elif tested.schema == "gold" and spans %}
        {% do return(spans ~ " >= '" ~ since ~ "'" if since else "1 = 0") %}
    {% endif %}
    {% do return("") %}
{% endmacro %}
