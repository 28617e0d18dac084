{#- The cell of a thousandth of a degree, counted from the edge of the city's box, that an end (pickup, dropoff) lies in on an axis. -#}
{%- macro taxi_cell(end, axis) -%}
  cast(floor(({{ end }}_{{ axis }} - {{ taxi_city_value(['box', axis, 0]) }}) * 1e3) as integer)
{%- endmacro -%}
