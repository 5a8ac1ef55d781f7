{# Which loads a model has taken in: each incremental model's watermark, in ops.model_loads.

   A model reads what its upstream brought with load_id > since_load() and remembers, when it succeeded, how far its
   upstream was. So a build that failed halfway is made good by the next one, and a model that is run alone never
   skips what its upstream has yet to bring. #}

{% macro since_load() -%}
    {%- if execute and is_incremental() -%}
        {%- set found = run_query(
            "select max(load_id) from ops.model_loads where model = '" ~ this.identifier ~ "'"
        ) -%}
        {{ found.columns[0].values()[0] or 0 }}
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{% macro remember_load() %}
    {% if execute and model.config.materialized == "incremental" %}
        {% set upstream = [] %}
        {% for node in model.depends_on.nodes if node.startswith("model.") %}
            {% do upstream.append("'" ~ node.split(".")[2] ~ "'") %}
            {# a view takes in nothing itself: what is behind it does #}
            {% if graph.nodes[node].config.materialized == "view" %}
                {% for behind in graph.nodes[node].depends_on.nodes if behind.startswith("model.") %}
                    {% do upstream.append("'" ~ behind.split(".")[2] ~ "'") %}
                {% endfor %}
            {% endif %}
        {% endfor %}
        {% do run_query("delete from ops.model_loads where model = '" ~ this.identifier ~ "'") %}
        insert into ops.model_loads
        select
            '{{ this.identifier }}',
            coalesce(
                (select min(load_id) from ops.model_loads where model in ({{ (upstream or ["''"]) | join(", ") }})),
                (select max(load_id) from raw.load_history),
                0
            ),
            {{ now_utc() }}
    {% endif %}
{% endmacro %}
