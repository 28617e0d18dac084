{#
  On the sums of a feature table (feature_sums): its columns keep the `range` ([low, high]) of their meta, and have a value where
  it says `is_present`. A row is returned for each column that some row of the feature table breaks.
#}
{% test keeps_declared_ranges(model, features) %}
{%- set judged = declared_ranges(features) %}
with counted as (
    select
        sum(row_count) as row_count
        {%- for column in judged %},
        sum({{ column.name }}_broken) as {{ column.name }}_broken
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
