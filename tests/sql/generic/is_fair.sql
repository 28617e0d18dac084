{# On an audit model: comparisons that chance does not explain, even with so many of them. #}
{% test is_fair(model) %}
select column_name, split, train_mean, split_mean, effect_size, p_value, corrected_level from {{ model }} where not is_fair
{% endtest %}
