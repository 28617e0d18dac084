{#- The middle of the city's box on an axis (latitude, longitude), in degrees. -#}
{%- macro taxi_city_middle(axis) -%}
  (({{ taxi_city_value(['box', axis, 0]) }} + {{ taxi_city_value(['box', axis, 1]) }}) / 2e0)
{%- endmacro -%}
