{#- A timestamp as ISO text to the minute, 2013-01-31 07:15: text that may be hashed. -#}
{%- macro iso_minute(moment) -%}{{ return(adapter.dispatch('iso_minute', 'skewless')(moment)) }}{%- endmacro -%}

{%- macro default__iso_minute(moment) -%}
  {{ exceptions.raise_compiler_error("iso_minute is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__iso_minute(moment) -%}strftime({{ moment }}, '%Y-%m-%d %H:%M'){%- endmacro -%}

{%- macro athena__iso_minute(moment) -%}date_format({{ moment }}, '%Y-%m-%d %H:%i'){%- endmacro -%}
