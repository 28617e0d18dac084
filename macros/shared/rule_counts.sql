{#-
  What the rules of a checked model count in each load, in one scan: its rows, the duplicates (`ok_duplicate`), the rows that
  are kept and those that are quarantined, and for each rule the rows that break it, duplicates left out. `wanted` narrows it.
-#}
{%- macro rule_counts(checked, wanted='true') -%}
select
    raw_load_id,
    count(*) as row_count,
    {%- for rule in rule_columns(checked) %}
    count(*) filter (where not coalesce({{ rule.column }}, false) and not is_duplicate) as {{ rule.column }},
    {%- endfor %}
    count(*) filter (where is_duplicate) as ok_duplicate,
    count(*) filter (where not is_duplicate and {{ is_kept(checked) }}) as kept_count,
    count(*) filter (where not is_duplicate and not {{ is_kept(checked) }}) as quarantined_count
from {{ ref(checked) }}
where {{ wanted }}
group by raw_load_id
{%- endmacro -%}
