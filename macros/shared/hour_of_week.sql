{#- Hours since Monday midnight by the local clock, an integer from 0 to 167. -#}
{%- macro hour_of_week(moment) -%}(({{ iso_weekday(moment) }} - 1) * 24 + hour({{ moment }})){%- endmacro -%}
