{#-
  For an incremental table by load: a condition on raw_load_id that names the loads to take in. `wanted` is a relation with a
  row for each load and the `version` of what it is made from; the table keeps that, with `own_version` (a hash of its SQL)
  behind it, in its column `version`. The ids are literals: an engine skips the other files unread.

  Rows of loads that are gone or that have another version must leave the table, so that what results is what a full build
  gives. This macro only reads; it says in a comment of the statement which rows leave, and the materialization removes them in
  its own transaction: by the hook leave_old_loads, or by a full rebuild (should_full_refresh) where no row stays.
-#}
{%- macro take_new_loads(wanted, own_version) -%}
  {%- if not is_incremental() -%}{{ return('true') }}{%- endif -%}
  {%- set wanted_loads = [] -%}
  {%- for row in run_query("select raw_load_id, version from " ~ wanted ~ " as wanted").rows -%}
    {%- do wanted_loads.append(row[0] ~ ':' ~ row[1] ~ own_version) -%}
  {%- endfor -%}
  {%- set stored = [] -%}
  {%- if 'version' in adapter.get_columns_in_relation(this) | map(attribute='name') -%}
    {%- set stored = run_query("select distinct raw_load_id || ':' || version from " ~ this).columns[0].values() | list -%}
  {%- endif -%}
  {%- set old = stored | reject('in', wanted_loads) | list -%}
  {%- if old | length == stored | length -%}{{ return('true /* old loads: all */') }}{%- endif -%}
  {%- set ids = [] -%}
  {%- for load in wanted_loads if load not in stored -%}{%- do ids.append(load.split(':')[0]) -%}{%- endfor -%}
  {%- set taken = "raw_load_id in ('" ~ ids | join("', '") ~ "')" if ids else 'false' -%}
  {{- return(taken ~ ' /* old loads: ' ~ old | join(' ') ~ ' */') -}}
{%- endmacro -%}
