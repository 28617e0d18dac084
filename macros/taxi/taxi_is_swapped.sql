{#- True where latitude and longitude of an end (pickup, dropoff) are in the box of its city once exchanged. -#}
{%- macro taxi_is_swapped(end) -%}
  ({{ end }}_longitude between {{ taxi_city_value(['box', 'latitude', 0]) }} and {{ taxi_city_value(['box', 'latitude', 1]) }}
  and {{ end }}_latitude between {{ taxi_city_value(['box', 'longitude', 0]) }} and {{ taxi_city_value(['box', 'longitude', 1]) }})
{%- endmacro -%}
