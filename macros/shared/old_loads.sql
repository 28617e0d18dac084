{#-
  What take_new_loads has written into the statement of the model that now runs: the rows that must leave its table, each as
  `load:version`, or ['all']. Nothing in other models, and before a model is compiled.
-#}
{%- macro old_loads() -%}
  {%- set found = modules.re.search('/\\* old loads: (.*?) \\*/', model.get('compiled_code') or '') if execute else none -%}
  {{- return(found.group(1).split() if found else []) -}}
{%- endmacro -%}
