{#- The cell of a thousandth of a degree, counted from the edge of the city's box, of an end (pickup, dropoff) on an axis. -#}
{%- macro taxi_cell(end, axis) -%}
  cast(floor(({{ end }}_{{ axis }} - {{ taxi_city_value(['box', axis, 0]) }}) * 1e3) as integer)
{%- endmacro -%}
