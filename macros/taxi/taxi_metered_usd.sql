{#- What the tariff in force charges for a distance in kilometres, in dollars, without any waiting. -#}
{%- macro taxi_metered_usd(kilometres) -%}
  ({{ taxi_tariff_value('drop_usd') }} + {{ taxi_tariff_value('mile_usd') }} * case
    when {{ kilometres }} / 1.609344e0 > {{ taxi_tariff_value('drop_miles') }} then {{ kilometres }} / 1.609344e0 - {{ taxi_tariff_value('drop_miles') }}
    else 0e0
  end)
{%- endmacro -%}
