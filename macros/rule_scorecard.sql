{#-
  The quality relation of a project: one row per load and rule. One scan counts everything; the rest reshapes
  the counts. `budget` is the share of a load's rows that a rule may cost.
-#}
{%- macro rule_scorecard(checked) -%}
{%- set rules = rule_columns(checked) -%}
with counted as (
    select
        raw_load_id,
        count(*) as row_count,
        {%- for rule in rules %}
        count(*) filter (where not coalesce({{ rule.column }}, false) and not is_duplicate) as {{ rule.column }},
        {%- endfor %}
        count(*) filter (where is_duplicate) as duplicate_count
    from {{ ref(checked) }}
    group by raw_load_id
),

scorecard as (
    select
        raw_load_id,
        'duplicate' as rule_name,
        'consistent' as dimension,
        'drop' as action,
        row_count,
        duplicate_count as broken_count,
        cast({{ var('duplicate_budget', 0.01) }} as double) as budget
    from counted
    {%- for rule in rules %}
    union all
    select
        raw_load_id,
        '{{ rule.column[3:] }}' as rule_name,
        '{{ rule.dimension }}' as dimension,
        '{{ rule.action }}' as action,
        row_count,
        {{ rule.column }} as broken_count,
        cast({{ rule.budget }} as double) as budget
    from counted
    {%- endfor %}
)

select
    cast(raw_load_id as varchar) as raw_load_id,
    cast(rule_name as varchar) as rule_name,
    cast(dimension as varchar) as dimension,
    cast(action as varchar) as action,
    cast(row_count as bigint) as row_count,
    cast(broken_count as bigint) as broken_count,
    cast(broken_count as double) / cast(row_count as double) as broken_share,
    budget,
    cast(broken_count as double) <= budget * cast(row_count as double) as is_within_budget
from scorecard
{%- endmacro -%}
