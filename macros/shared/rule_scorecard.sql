{#-
  The quality relation of a project: one row per load and rule. One scan counts everything (rule_counts); the rest reshapes it.
  `budget` is the share of a load's rows that a rule may cost, or the one that the seed `exemptions` grants to that load, with
  its reason; `counts` is a model that keeps rule_counts, if there is one. Small loads have an allowance for chance: one row and
  four standard deviations of a Poisson count, where the budget is not 0.
-#}
{%- macro rule_scorecard(checked, exemptions=none, counts=none) -%}
{%- set rules = rule_columns(checked) + [{'column': 'ok_duplicate', 'dimension': 'consistent', 'action': 'drop', 'budget': var('duplicate_budget', 0.01)}] -%}
with counted as (
    {{ 'select * from ' ~ ref(counts) if counts else rule_counts(checked) }}
),

rules as (
    {%- for rule in rules %}
    select
        '{{ rule.column[3:] }}' as rule_name,
        '{{ rule.dimension }}' as dimension,
        '{{ rule.action }}' as action,
        cast({{ rule.budget }} as double) as budget
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

listed as (
    select
        counted.raw_load_id,
        rules.rule_name,
        rules.dimension,
        rules.action,
        counted.row_count,
        case rules.rule_name
            {%- for rule in rules %}
            when '{{ rule.column[3:] }}' then counted.{{ rule.column }}
            {%- endfor %}
        end as broken_count,
        rules.budget
    from counted cross join rules
),

scorecard as (
    select
        listed.raw_load_id,
        listed.rule_name,
        listed.dimension,
        listed.action,
        listed.row_count,
        listed.broken_count,
        {%- if exemptions %}
        coalesce(exempt.budget, listed.budget) as budget,
        exempt.reason as exemption
    from listed
    left join {{ ref(exemptions) }} as exempt on listed.raw_load_id = exempt.raw_load_id and listed.rule_name = exempt.rule_name
        {%- else %}
        listed.budget,
        cast(null as varchar) as exemption
    from listed
        {%- endif %}
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
    cast(exemption as varchar) as exemption,
    cast(broken_count as double) <= budget * cast(row_count as double) + case when budget > 0e0 then 1e0 + 4e0 * sqrt(budget * cast(row_count as double)) else 0e0 end as is_within_budget
from scorecard
{%- endmacro -%}
