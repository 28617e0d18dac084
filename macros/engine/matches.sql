{#- True where the text matches the regular expression somewhere; RE2 syntax, kept to what both engines read alike. -#}
{%- macro matches(text, pattern) -%}{{ return(adapter.dispatch('matches', 'skewless')(text, pattern)) }}{%- endmacro -%}

{%- macro default__matches(text, pattern) -%}
  {{ exceptions.raise_compiler_error("matches is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__matches(text, pattern) -%}regexp_matches({{ text }}, '{{ pattern }}'){%- endmacro -%}

{%- macro athena__matches(text, pattern) -%}regexp_like({{ text }}, '{{ pattern }}'){%- endmacro -%}
