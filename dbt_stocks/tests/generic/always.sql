{# What is true of every row: these columns are present, and each expression is true or has a null in it.
   One query a model, where a test for each would take many. #}
{% test always(model, present=[], expressions=[]) %}
    select *
    from {{ model }}
    where false
    {% for column in present %} or {{ column }} is null{% endfor %}
    {% for expression in expressions %} or not ({{ expression }}){% endfor %}
{% endtest %}
