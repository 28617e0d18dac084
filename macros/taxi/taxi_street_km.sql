{#-
  How far a trip goes along the city's street grid (`along`) or across it, in kilometres, never negative: the straight line
  turned by the grid's bearing. On a plane that touches the earth at the trip's mean latitude; a city is small enough.
-#}
{%- macro taxi_street_km(direction) -%}
  {%- set north = '((dropoff_latitude - pickup_latitude) * 111.195e0)' -%}
  {%- set east = '((dropoff_longitude - pickup_longitude) * 111.195e0 * cos(radians((pickup_latitude + dropoff_latitude) / 2e0)))' -%}
  {%- set bearing = 'radians(' ~ taxi_city_value(['grid_bearing']) ~ ')' -%}
  {%- if direction == 'along' -%}
  abs({{ north }} * cos({{ bearing }}) + {{ east }} * sin({{ bearing }}))
  {%- else -%}
  abs({{ east }} * cos({{ bearing }}) - {{ north }} * sin({{ bearing }}))
  {%- endif -%}
{%- endmacro -%}
