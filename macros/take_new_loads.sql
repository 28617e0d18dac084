{#-
  For an incremental table by load: a condition on raw_load_id that names the loads to take in. Before that, rows of loads that
  are gone or were replaced, and rows that other SQL made, leave the table, so that what results is what a full build gives.
  `staging` has a row's raw_load_id and the sql_version of its own text; the table's is that with `own_version` behind it.
  The ids are literals, so that an engine skips the files of all other loads unread.
-#}
{%- macro take_new_loads(staging, own_version) -%}
  {%- if not is_incremental() -%}{{ return('true') }}{%- endif -%}
  {%- set staged = run_query("select raw_load_id, max(sql_version) as sql_version from " ~ staging ~ " group by raw_load_id") -%}
  {%- set wanted = [] -%}
  {%- for row in staged.rows -%}{%- do wanted.append(row[0] ~ ':' ~ row[1] ~ own_version) -%}{%- endfor -%}
  {%- set standing = run_query("select distinct raw_load_id || ':' || sql_version from " ~ this).columns[0].values() | list -%}
  {%- set gone = standing | reject('in', wanted) | list -%}
  {%- if gone -%}
    {%- do run_query("delete from " ~ this ~ " where raw_load_id || ':' || sql_version in ('" ~ gone | join("', '") ~ "')") -%}
  {%- endif -%}
  {%- set ids = [] -%}
  {%- for load in wanted if load not in standing -%}{%- do ids.append(load.split(':')[0]) -%}{%- endfor -%}
  {{- return("raw_load_id in ('" ~ ids | join("', '") ~ "')" if ids else 'false') -}}
{%- endmacro -%}
