{#-
  One scan of a feature table for all audits: for each split, group (a date) and level of the nested sample, the count, the
  sum and the sum of squares of every numerical feature and of the target, and for each column with a declared range or presence
  the rows that break it. A row's level is the smallest k with
  sample_bucket < 2^k, from 0 to 20, so that the levels up to k are the sample of a share of 2^(k - 20).
-#}
{%- macro feature_sums(features, group) -%}
{%- set columns = audited_columns(features) -%}
with leveled as (
    select
        split,
        {{ group }} as group_name,
        case
            {%- for level in range(20) %}
            when sample_bucket < {{ 2 ** level }} then {{ level }}
            {%- endfor %}
            else 20
        end as level
        {%- for column in columns %},
        cast({{ 'case when ' ~ column.name ~ ' then 1 else 0 end' if column.is_boolean else column.name }} as double) as {{ column.name }}
        {%- endfor %}
        {%- for column in declared_ranges(features) %},
        case when {{ column.broken }} then 1 else 0 end as {{ column.name }}_broken
        {%- endfor %}
    from {{ ref(features) }}
)

select
    cast(split as varchar) as split,
    cast(group_name as varchar) as group_name,
    cast(level as integer) as level,
    cast(count(*) as bigint) as row_count
    {%- for column in columns %},
    coalesce(sum({{ column.name }}), 0e0) as {{ column.name }}_sum,
    cast(count({{ column.name }}) as double) as {{ column.name }}_count,
    coalesce(sum({{ column.name }} * {{ column.name }}), 0e0) as {{ column.name }}_squares
    {%- endfor %}
    {%- for column in declared_ranges(features) %},
    cast(sum({{ column.name }}_broken) as bigint) as {{ column.name }}_broken
    {%- endfor %}
from leveled
group by split, group_name, level
{%- endmacro -%}
