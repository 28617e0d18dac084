{#- A coordinate in millionths of a degree, a tenth of a metre: an integer, so that it may be written out and hashed. Null beyond a circle. -#}
{%- macro micro_degrees(degrees) -%}
  case when {{ degrees }} between -360e0 and 360e0 then cast(round({{ degrees }} * 1e6) as bigint) end
{%- endmacro -%}
