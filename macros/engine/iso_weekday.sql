{#- Day of the week, Monday 1 to Sunday 7: `dow` counts differently on each engine. -#}
{%- macro iso_weekday(moment) -%}{{ return(adapter.dispatch('iso_weekday', 'skewless')(moment)) }}{%- endmacro -%}

{%- macro default__iso_weekday(moment) -%}
  {{ exceptions.raise_compiler_error("iso_weekday is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__iso_weekday(moment) -%}isodow({{ moment }}){%- endmacro -%}

{%- macro athena__iso_weekday(moment) -%}day_of_week({{ moment }}){%- endmacro -%}
