{# None of these columns is ever null. One query a model, where not_null takes one a column. #}
{% test present(model, columns) %}
    select *
    from {{ model }}
    where {% for column in columns %}{{ column }} is null{% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}
