{#- A number in hundredths, dollars in cents: an integer, so that it may be summed to the same bits, written out and hashed. -#}
{%- macro hundredths(value) -%}
  case when {{ value }} between -1e12 and 1e12 then cast(round({{ value }} * 1e2) as bigint) end
{%- endmacro -%}
