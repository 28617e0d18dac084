{#- The joins that give trips (an alias with `<end>_<axis>_axis` and `_cell`) the bins of both ends, as pickup_latitudes.bin and so on. -#}
{%- macro taxi_bins_joined(trips) -%}
  {%- for end in ['pickup', 'dropoff'] -%}{% for axis in ['latitude', 'longitude'] %}
left join {{ ref('taxi_bins') }} as {{ end }}_{{ axis }}s
    on {{ trips }}.{{ end }}_{{ axis }}_axis = {{ end }}_{{ axis }}s.city_axis and {{ trips }}.{{ end }}_{{ axis }}_cell = {{ end }}_{{ axis }}s.cell
  {%- endfor %}{% endfor -%}
{%- endmacro -%}
