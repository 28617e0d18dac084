{#-
  The rules of a checked model, from the YAML entries of its ok_ columns: a list of
  {column, dimension, budget, action}, in the order of the YAML. Empty while parsing and in dbt unit tests, where
  dbt shows no graph: rules are tested as columns of the checked model itself.
-#}
{%- macro rule_columns(checked) -%}
  {%- set rules = [] -%}
  {%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == checked -%}
      {%- for name, column in node.columns.items() if column.config.meta.get('rule') -%}
        {%- set rule = column.config.meta['rule'] -%}
        {%- do rules.append({'column': name, 'dimension': rule['dimension'], 'budget': rule['budget'], 'action': rule['action']}) -%}
      {%- endfor -%}
    {%- endfor -%}
  {%- endif -%}
  {{- return(rules) -}}
{%- endmacro -%}
