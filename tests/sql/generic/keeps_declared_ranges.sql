{#
  The columns of a model or seed keep the `range` ([low, high]) of their meta, and have a value where it says `is_present`; null is in
  every range. With `features`, the model is the sums (feature_sums) of that feature table, which has counted its broken rows already.
  A row is returned for each column that some row breaks.
#}
{% test keeps_declared_ranges(model, features=none) %}
{%- set judged = declared_ranges(features or model.identifier) %}
with counted as (
    select
        {{ 'sum(row_count)' if features else 'count(*)' }} as row_count
        {%- for column in judged %},
        sum({{ column.name ~ '_broken' if features else 'case when ' ~ column.broken ~ ' then 1 else 0 end' }}) as {{ column.name }}_broken
        {%- endfor %}
    from {{ model }}
)

{% for column in judged %}
select '{{ column.name }}' as column_name, row_count, {{ column.name }}_broken as broken_count from counted where {{ column.name }}_broken > 0
{%- if not loop.last %}
union all
{%- endif %}
{% else %}
select cast(null as varchar) as column_name, row_count, 0 as broken_count from counted where false
{% endfor %}
{% endtest %}
