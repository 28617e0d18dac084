{#- The airport of the row's city that a point is at, or 'none'; distances on a plane, exact to a part in 10,000 over two kilometres. -#}
{%- macro taxi_airport(latitude, longitude) -%}
  case
  {%- for city, about in taxi_cities().items() -%}
    {%- for airport in about['airports'] %}
    when city = '{{ city }}' and power(({{ latitude }} - {{ airport['latitude'] }}e0) * 111.195e0, 2e0)
      + power(({{ longitude }} - ({{ airport['longitude'] }}e0)) * 111.195e0 * cos(radians({{ airport['latitude'] }}e0)), 2e0) <= {{ (airport['radius_km'] ** 2) | round(6) }}e0
      then '{{ airport['name'] }}'
    {%- endfor -%}
  {%- endfor %}
    else 'none'
  end
{%- endmacro -%}
