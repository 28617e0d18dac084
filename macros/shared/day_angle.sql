{#- The local time of day as an angle, radians in [0, 2 pi): take its sine and cosine, so that 23:59 is next to 00:00. -#}
{%- macro day_angle(moment) -%}
  (radians(360e0) * cast(hour({{ moment }}) * 60 + minute({{ moment }}) as double) / 1440e0)
{%- endmacro -%}
