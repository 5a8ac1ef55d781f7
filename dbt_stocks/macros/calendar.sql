{# The sessions, numbered from the calendar's first one on. #}
{% macro numbered_sessions() -%}
    select calendar_date as session_date, session_number from {{ ref("stg_trading_sessions") }}
    where is_trading_day
{%- endmacro %}


{# Names and numbers of the calendar that engines spell differently. #}

{% macro month_name(day) -%} {{ adapter.dispatch("month_name")(day) }} {%- endmacro %}

{% macro duckdb__month_name(day) -%} monthname({{ day }}) {%- endmacro %}

{# monthname() gives three letters there #}
{% macro snowflake__month_name(day) -%}
    case extract(month from {{ day }})
        {% for name in [
            "January", "February", "March", "April", "May", "June",
            "July", "August", "September", "October", "November", "December",
        ] %}
        when {{ loop.index }} then '{{ name }}'
        {% endfor %}
    end
{%- endmacro %}


{# Monday is 1, Sunday 7. #}
{% macro iso_day_of_week(day) -%} {{ adapter.dispatch("iso_day_of_week")(day) }} {%- endmacro %}

{% macro duckdb__iso_day_of_week(day) -%} cast(isodow({{ day }}) as integer) {%- endmacro %}

{% macro snowflake__iso_day_of_week(day) -%} dayofweekiso({{ day }}) {%- endmacro %}


{% macro day_name(day) -%}
    case {{ iso_day_of_week(day) }}
        when 1 then 'Monday'
        when 2 then 'Tuesday'
        when 3 then 'Wednesday'
        when 4 then 'Thursday'
        when 5 then 'Friday'
        when 6 then 'Saturday'
        else 'Sunday'
    end
{%- endmacro %}
