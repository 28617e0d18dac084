{#- A timestamp moved by an integer number of minutes. -#}
{%- macro add_minutes(moment, minutes) -%}{{ return(adapter.dispatch('add_minutes', 'skewless')(moment, minutes)) }}{%- endmacro -%}

{%- macro default__add_minutes(moment, minutes) -%}
  {{ exceptions.raise_compiler_error("add_minutes is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__add_minutes(moment, minutes) -%}({{ moment }} + to_minutes(cast({{ minutes }} as bigint))){%- endmacro -%}

{%- macro athena__add_minutes(moment, minutes) -%}date_add('minute', {{ minutes }}, {{ moment }}){%- endmacro -%}
