{#-
  train, validation, test by the hash of the group; out_of_time for rows at or after the project's cut.
  `group_text` is the group as text, `date_text` an ISO date as text (ISO text sorts as its dates do). The cut is the one in
  the project's vars, or `cut`, an expression of ISO text, where it differs from row to row.
-#}
{%- macro split_of(project, group_text, date_text, cut=none) -%}
  {%- set dated = var('out_of_time_from').get(project) -%}
  {%- set cut = cut or ("'" ~ dated ~ "'" if dated else none) -%}
  {%- set bucket = hash_bucket(var('split_salt'), group_text) -%}
  {%- set train = (1048576 * var('train_percent') / 100) | int -%}
  {%- set validation = (1048576 * (var('train_percent') + var('validation_percent')) / 100) | int -%}
  case
    {%- if cut %}
    when {{ date_text }} >= {{ cut }} then 'out_of_time'
    {%- endif %}
    when {{ bucket }} < {{ train }} then 'train'
    when {{ bucket }} < {{ validation }} then 'validation'
    else 'test'
  end
{%- endmacro -%}
