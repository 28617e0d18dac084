{#-
  For an incremental table by load: a condition on raw_load_id that names the loads to take in. `wanted` is a relation with a
  row for each load and the `version` of what it is made from; the table keeps that, with `own_version` (a hash of its SQL)
  behind it, in its column `version`. Before anything is added, rows of loads that are gone or that have another version
  leave the table, so that what results is what a full build gives. The ids are literals: an engine skips the other files unread.
-#}
{%- macro take_new_loads(wanted, own_version) -%}
  {%- if not is_incremental() -%}{{ return('true') }}{%- endif -%}
  {%- set asked = [] -%}
  {%- for row in run_query("select raw_load_id, version from " ~ wanted ~ " as wanted").rows -%}
    {%- do asked.append(row[0] ~ ':' ~ row[1] ~ own_version) -%}
  {%- endfor -%}
  {%- set standing = [] -%}
  {%- if 'version' in adapter.get_columns_in_relation(this) | map(attribute='name') -%}
    {%- set standing = run_query("select distinct raw_load_id || ':' || version from " ~ this).columns[0].values() | list -%}
  {%- endif -%}
  {%- set gone = standing | reject('in', asked) | list -%}
  {%- if gone | length == standing | length -%}
    {%- do adapter.drop_relation(load_relation(this)) -%}  {#- nothing of it stays: it is made anew, in whatever shape -#}
    {{- return('true') -}}
  {%- endif -%}
  {%- if gone -%}
    {%- do run_query("delete from " ~ this ~ " where raw_load_id || ':' || version in ('" ~ gone | join("', '") ~ "')") -%}
  {%- endif -%}
  {%- set ids = [] -%}
  {%- for load in asked if load not in standing -%}{%- do ids.append(load.split(':')[0]) -%}{%- endfor -%}
  {{- return("raw_load_id in ('" ~ ids | join("', '") ~ "')" if ids else 'false') -}}
{%- endmacro -%}
