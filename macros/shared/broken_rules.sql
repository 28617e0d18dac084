{#- The names of all the rules that a row of a checked model breaks, comma-separated, without their ok_. -#}
{%- macro broken_rules(checked) -%}
  trim(
    ''
    {%- for rule in rule_columns(checked) %}
    || case when coalesce({{ rule.column }}, false) then '' else '{{ rule.column[3:] }} ' end
    {%- endfor %}
  )
{%- endmacro -%}
