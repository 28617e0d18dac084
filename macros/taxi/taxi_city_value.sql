{#-
  A number or text of the row's city, from taxi_cities: `path` leads to it (['box', 'latitude', 0]). Null for an unknown city.
-#}
{%- macro taxi_city_value(path) -%}
  case city
  {%- for city, about in taxi_cities().items() -%}
    {%- set reached = namespace(value=about) -%}
    {%- for step in path -%}{%- set reached.value = reached.value[step] -%}{%- endfor %}
    when '{{ city }}' then {{ "'" ~ reached.value ~ "'" if reached.value is string else reached.value ~ 'e0' }}
  {%- endfor %}
  end
{%- endmacro -%}
