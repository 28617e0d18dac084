{#- The month that a file's name carries, as year * 12 + month (taxi_2015_01.txt: 24181); null where it carries none. -#}
{%- macro file_month(name) -%}
  {%- set year = "regexp_extract(" ~ name ~ ", '(20[0-9][0-9])[_-]([01][0-9])[^0-9]', 1)" -%}
  {%- set month = "regexp_extract(" ~ name ~ ", '(20[0-9][0-9])[_-]([01][0-9])[^0-9]', 2)" -%}
  ({{ to_integer(year) }} * 12 + {{ to_integer(month) }})
{%- endmacro -%}
