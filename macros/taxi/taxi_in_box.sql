{#- True where an end of a trip (pickup, dropoff) is in the box of its city; null where a coordinate is missing. -#}
{%- macro taxi_in_box(end) -%}
  ({{ end }}_latitude between {{ taxi_city_value(['box', 'latitude', 0]) }} and {{ taxi_city_value(['box', 'latitude', 1]) }}
  and {{ end }}_longitude between {{ taxi_city_value(['box', 'longitude', 0]) }} and {{ taxi_city_value(['box', 'longitude', 1]) }})
{%- endmacro -%}
