{#-
  Great-circle distance in kilometres by the haversine formula on a sphere of the mean radius 6371.0088 km
  (IUGG 1980). Degrees in; null where any coordinate is null. The case guards asin against rounding above 1.
-#}
{%- macro great_circle_km(latitude_1, longitude_1, latitude_2, longitude_2) -%}
  {%- set haversine -%}
    power(sin(radians({{ latitude_2 }} - {{ latitude_1 }}) / 2e0), 2e0)
    + cos(radians({{ latitude_1 }})) * cos(radians({{ latitude_2 }}))
    * power(sin(radians({{ longitude_2 }} - {{ longitude_1 }}) / 2e0), 2e0)
  {%- endset -%}
  12742.0176e0 * asin(case when ({{ haversine }}) > 1e0 then 1e0 else sqrt({{ haversine }}) end)
{%- endmacro -%}
