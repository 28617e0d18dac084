{#- The day of the week as an angle, radians in [0, 2 pi): Sunday is next to Monday. -#}
{%- macro week_angle(moment) -%}
  (radians(360e0) * cast({{ iso_weekday(moment) }} - 1 as double) / 7e0)
{%- endmacro -%}
