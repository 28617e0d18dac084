{#- Seconds from one timestamp to a later one, as a double: date_diff counts boundaries on one engine, whole units on the other. -#}
{%- macro seconds_between(earlier, later) -%}{{ return(adapter.dispatch('seconds_between', 'skewless')(earlier, later)) }}{%- endmacro -%}

{%- macro default__seconds_between(earlier, later) -%}
  {{ exceptions.raise_compiler_error("seconds_between is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__seconds_between(earlier, later) -%}(epoch({{ later }}) - epoch({{ earlier }})){%- endmacro -%}

{%- macro athena__seconds_between(earlier, later) -%}(to_unixtime({{ later }}) - to_unixtime({{ earlier }})){%- endmacro -%}
