{# On a quality model: rules that cost a load more rows than their budget allows. #}
{% test within_budget(model) %}
select raw_load_id, rule_name, broken_count, row_count, broken_share, budget from {{ model }} where not is_within_budget
{% endtest %}
