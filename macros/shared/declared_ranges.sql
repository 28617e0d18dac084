{#-
  The columns of a model or seed whose meta declares a `range` or `is_present`: a list of {name, broken}, the condition under which a
  row breaks the declaration. Empty while parsing, when dbt shows no graph.
-#}
{%- macro declared_ranges(model_name) -%}
  {%- set judged = [] -%}
  {%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed') and node.name == model_name -%}
      {%- for name, column in node.columns.items() -%}
        {%- set meta = column.config.meta -%}
        {%- set parts = [] -%}
        {%- if meta.get('range') -%}{%- do parts.append(name ~ ' < ' ~ meta['range'][0] ~ 'e0 or ' ~ name ~ ' > ' ~ meta['range'][1] ~ 'e0') -%}{%- endif -%}
        {%- if meta.get('is_present') -%}{%- do parts.append(name ~ ' is null') -%}{%- endif -%}
        {%- if parts -%}{%- do judged.append({'name': name, 'broken': parts | join(' or ')}) -%}{%- endif -%}
      {%- endfor -%}
    {%- endfor -%}
  {%- endif -%}
  {{- return(judged) -}}
{%- endmacro -%}
