{#
  The columns of a model keep the `range` ([low, high]) of their meta, and have a value where it says `is_present`. One scan
  judges all of them; a row is returned for each column that some row of the model breaks.
#}
{% test keeps_declared_ranges(model) %}
{%- set judged = declared_ranges(model.identifier) %}
with counted as (
    select
        count(*) as row_count
        {%- for column in judged %},
        count(*) filter (where {{ column.broken }}) as {{ column.name }}
        {%- endfor %}
    from {{ model }}
),

names as (
    {%- for column in judged %}
    select '{{ column.name }}' as column_name{% if not loop.last %} union all{% endif %}
    {%- else %}
    select cast(null as varchar) as column_name
    {%- endfor %}
),

listed as (
    select
        names.column_name,
        counted.row_count,
        case names.column_name
            {%- for column in judged %}
            when '{{ column.name }}' then counted.{{ column.name }}
            {%- else %}
            when '' then 0
            {%- endfor %}
        end as broken_count
    from counted cross join names
)

select * from listed where broken_count > 0
{% endtest %}
