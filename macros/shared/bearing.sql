{#-
  The course on which a great circle from the first point to the second begins, in radians clockwise from north, in (-pi, pi].
  Degrees in; null where any coordinate is null. Take its sine and cosine: north is both ends of the scale.
-#}
{%- macro bearing(latitude_1, longitude_1, latitude_2, longitude_2) -%}
  atan2(
    sin(radians({{ longitude_2 }} - {{ longitude_1 }})) * cos(radians({{ latitude_2 }})),
    cos(radians({{ latitude_1 }})) * sin(radians({{ latitude_2 }}))
    - sin(radians({{ latitude_1 }})) * cos(radians({{ latitude_2 }})) * cos(radians({{ longitude_2 }} - {{ longitude_1 }}))
  )
{%- endmacro -%}
