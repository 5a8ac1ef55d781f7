{# What is true of every row: each expression is true or has a null in it. #}
{% test always(model, expressions) %}
    select *
    from {{ model }}
    where {% for expression in expressions %}not ({{ expression }}){% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}
