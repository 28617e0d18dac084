{#-
  Text in one of several forms to a timestamp, null where it is none of them. Forms are written YYYY, MM, DD, HH, MM after
  a colon for minutes, SS, and AM for a twelve-hour clock; other characters stand for themselves.
-#}
{%- macro timestamp_by_formats(text, forms) -%}
  {{- return(adapter.dispatch('timestamp_by_formats', 'skewless')(text, forms)) -}}
{%- endmacro -%}

{%- macro default__timestamp_by_formats(text, forms) -%}
  {{ exceptions.raise_compiler_error("timestamp_by_formats is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__timestamp_by_formats(text, forms) -%}
  {%- set written = [] -%}
  {%- for form in forms -%}
    {%- set hour = '%I' if 'AM' in form else '%H' -%}
    {%- do written.append("'" ~ form.replace(':MM', ':%M').replace('YYYY', '%Y').replace('DD', '%d').replace('HH', hour).replace('SS', '%S').replace('AM', '%p').replace('MM', '%m') ~ "'") -%}
  {%- endfor -%}
  try_strptime({{ text }}, {{ written[0] if written | length == 1 else '[' ~ written | join(', ') ~ ']' }})
{%- endmacro -%}

{%- macro athena__timestamp_by_formats(text, forms) -%}
  {%- set tries = [] -%}
  {%- for form in forms -%}
    {%- set hour = '%h' if 'AM' in form else '%H' -%}
    {%- do tries.append("try(date_parse(" ~ text ~ ", '" ~ form.replace(':MM', ':%i').replace('YYYY', '%Y').replace('DD', '%d').replace('HH', hour).replace('SS', '%s').replace('AM', '%p').replace('MM', '%m') ~ "'))") -%}
  {%- endfor -%}
  {{ tries[0] if tries | length == 1 else 'coalesce(' ~ tries | join(', ') ~ ')' }}
{%- endmacro -%}
