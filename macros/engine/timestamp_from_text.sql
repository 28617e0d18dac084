{#- Text in the one form YYYY-MM-DD HH:MM to a timestamp; null where it is not such a moment (a 31 February, a 25th hour). -#}
{%- macro timestamp_from_text(text) -%}
  {{- return(adapter.dispatch('timestamp_from_text', 'skewless')(text)) -}}
{%- endmacro -%}

{%- macro default__timestamp_from_text(text) -%}
  {{ exceptions.raise_compiler_error("timestamp_from_text is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__timestamp_from_text(text) -%}try_strptime({{ text }}, '%Y-%m-%d %H:%M'){%- endmacro -%}

{%- macro athena__timestamp_from_text(text) -%}try(date_parse({{ text }}, '%Y-%m-%d %H:%i')){%- endmacro -%}
