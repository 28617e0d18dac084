{#- The part of a wind that blows along a course: positive from behind. `blows_from` in degrees, as weather reports say it; `course` in radians. -#}
{%- macro tailwind(speed, blows_from, course) -%}
  ({{ speed }} * cos(radians({{ blows_from }} + 180e0) - {{ course }}))
{%- endmacro -%}
