{#- A wall-clock time written HMM or HHMM (517, 2400) as minutes after midnight; 2400 is 1440. Null for anything else. -#}
{%- macro clock_minutes(text) -%}
  case
    when {{ matches(text, '^([0-9]?[0-9])?[0-5]?[0-9]$') }} and {{ to_integer(text) }} between 0 and 2400 and {{ to_integer(text) }} % 100 < 60
      then cast(floor(cast({{ to_integer(text) }} as double) / 100e0) as integer) * 60 + {{ to_integer(text) }} % 100
  end
{%- endmacro -%}
