{#-
  True where clocks in the United States are on daylight-saving time at a local moment: from the second Sunday of March
  to the first Sunday of November, at two in the morning (Energy Policy Act of 2005). The hour that November repeats
  counts as daylight saving. `day - iso_weekday % 7` is the day of the month of the Sunday before, or of this one.
-#}
{%- macro is_daylight_saving(moment) -%}
  {%- set sunday -%}(day({{ moment }}) - {{ iso_weekday(moment) }} % 7){%- endset -%}
  case month({{ moment }})
    when 3 then {{ sunday }} >= 8 and not ({{ sunday }} <= 14 and {{ iso_weekday(moment) }} = 7 and hour({{ moment }}) < 2)
    when 11 then {{ sunday }} < 1 or ({{ sunday }} <= 7 and {{ iso_weekday(moment) }} = 7 and hour({{ moment }}) < 2)
    else month({{ moment }}) between 4 and 10
  end
{%- endmacro -%}
