{#- A number of the tariff that was in force in the row's city when the trip began: drop_usd, drop_miles, mile_usd or hour_usd. -#}
{%- macro taxi_tariff_value(name, moment='pickup_at') -%}
  case
  {%- for city, about in taxi_cities().items() -%}
    {%- for tariff in about['tariffs'] | sort(attribute='from', reverse=true) %}
    when city = '{{ city }}' and {{ moment }} >= timestamp '{{ tariff['from'] }} 00:00:00' then {{ tariff[name] }}e0
    {%- endfor -%}
  {%- endfor %}
  end
{%- endmacro -%}
