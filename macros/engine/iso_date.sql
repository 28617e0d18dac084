{#- A timestamp or date as ISO text, 2013-01-31: the one form in which a date may be hashed. -#}
{%- macro iso_date(moment) -%}{{ return(adapter.dispatch('iso_date', 'skewless')(moment)) }}{%- endmacro -%}

{%- macro default__iso_date(moment) -%}
  {{ exceptions.raise_compiler_error("iso_date is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__iso_date(moment) -%}strftime({{ moment }}, '%Y-%m-%d'){%- endmacro -%}

{%- macro athena__iso_date(moment) -%}date_format({{ moment }}, '%Y-%m-%d'){%- endmacro -%}
