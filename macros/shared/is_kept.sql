{#- True where a row of a checked model breaks no quarantine rule. A rule that yields null counts as broken. -#}
{%- macro is_kept(checked) -%}
  (true
  {%- for rule in rule_columns(checked) if rule.action == 'quarantine' %} and coalesce({{ rule.column }}, false){% endfor -%}
  )
{%- endmacro -%}
