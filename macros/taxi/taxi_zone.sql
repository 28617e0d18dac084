{#- The zone of an end (pickup, dropoff): its bins of latitude and longitude as one integer; with `width` 6, 6 by 6 of them. -#}
{%- macro taxi_zone(end, width=1) -%}
  {%- if width == 1 -%}
  ({{ end }}_latitudes.bin * 12 + {{ end }}_longitudes.bin)
  {%- else -%}
  (cast(floor(cast({{ end }}_latitudes.bin as double) / {{ width }}e0) as integer) * 12 + cast(floor(cast({{ end }}_longitudes.bin as double) / {{ width }}e0) as integer))
  {%- endif -%}
{%- endmacro -%}
