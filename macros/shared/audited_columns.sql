{#-
  The numerical features and the target of a feature table, from the roles in its YAML: a list of {name, is_boolean}.
  Empty while parsing and in dbt unit tests, where dbt shows no graph.
-#}
{%- macro audited_columns(features) -%}
  {%- set columns = [] -%}
  {%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == features -%}
      {%- for name, column in node.columns.items() -%}
        {%- set meta = column.config.meta -%}
        {%- if meta.get('role') == 'target' or (meta.get('role') == 'feature' and meta.get('kind') == 'numerical') -%}
          {%- do columns.append({'name': name, 'is_boolean': column.data_type == 'boolean'}) -%}
        {%- endif -%}
      {%- endfor -%}
    {%- endfor -%}
  {%- endif -%}
  {{- return(columns) -}}
{%- endmacro -%}
