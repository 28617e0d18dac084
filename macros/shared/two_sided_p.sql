{#-
  The two-sided p-value of Student's t with `degrees` degrees of freedom, as SQL that both engines compute alike.
  t becomes a normal deviate (Wallace, Bounds on normal approximations to Student's and the chi-square distributions,
  1959), whose tail is formula 7.1.26 of Abramowitz and Stegun, good to 1.5e-7: enough to tell a level of 0.0001.
-#}
{%- macro two_sided_p(t, degrees) -%}
  {%- set z -%}
    ((8e0 * {{ degrees }} + 1e0) / (8e0 * {{ degrees }} + 3e0) * sqrt({{ degrees }} * ln(1e0 + power({{ t }}, 2e0) / {{ degrees }}) / 2e0))
  {%- endset -%}
  {%- set u -%}(1e0 / (1e0 + 0.3275911e0 * {{ z }})){%- endset -%}
  (((((1.061405429e0 * {{ u }} - 1.453152027e0) * {{ u }} + 1.421413741e0) * {{ u }} - 0.284496736e0) * {{ u }} + 0.254829592e0)
  * {{ u }} * exp(-1e0 * power({{ z }}, 2e0)))
{%- endmacro -%}
