{#- The standard deviation from a sum, a count and a sum of squares; null for fewer than two values, 0 where rounding would go below. -#}
{%- macro spread_of_sums(total, count, squares) -%}
  sqrt(case
    when {{ count }} < 2e0 then null
    when {{ squares }} - {{ total }} * {{ total }} / {{ count }} < 0e0 then 0e0
    else ({{ squares }} - {{ total }} * {{ total }} / {{ count }}) / ({{ count }} - 1e0)
  end)
{%- endmacro -%}
