{#- Text to integer, null where it is not one. The guard keeps the engines equal: DuckDB alone reads '1e3' and '2.5'. -#}
{%- macro to_integer(text) -%}
  {{- return(adapter.dispatch('to_integer', 'skewless')(text)) -}}
{%- endmacro -%}

{%- macro default__to_integer(text) -%}
  {{ exceptions.raise_compiler_error("to_integer is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__to_integer(text) -%}
  case when regexp_matches({{ text }}, '^[+-]?[0-9]{1,9}$') then cast({{ text }} as integer) end
{%- endmacro -%}

{%- macro athena__to_integer(text) -%}
  case when regexp_like({{ text }}, '^[+-]?[0-9]{1,9}$') then cast({{ text }} as integer) end
{%- endmacro -%}
