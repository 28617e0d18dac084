{# Rows whose value lies outside [low, high]. Null passes: not_null says when it may not. #}
{% test in_range(model, column_name, low, high) %}
select {{ column_name }} from {{ model }} where {{ column_name }} < {{ low }} or {{ column_name }} > {{ high }}
{% endtest %}
