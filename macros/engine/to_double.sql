{#- Text to double, null where it is not a plain decimal. The guard keeps 'nan' and 'inf', which only DuckDB reads, out. -#}
{%- macro to_double(text) -%}{{ return(adapter.dispatch('to_double', 'skewless')(text)) }}{%- endmacro -%}

{%- macro default__to_double(text) -%}
  {{ exceptions.raise_compiler_error("to_double is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__to_double(text) -%}
  case when regexp_matches({{ text }}, '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$') then cast({{ text }} as double) end
{%- endmacro -%}

{%- macro athena__to_double(text) -%}
  case when regexp_like({{ text }}, '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$') then cast({{ text }} as double) end
{%- endmacro -%}
