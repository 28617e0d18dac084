{#-
  Whether a model adds to its table. dbt's own, but for `dbt compile`, which always shows the whole statement: without a
  connection the answer is unknown, and what is frozen as online SQL must not depend on what a warehouse holds.
-#}
{%- macro is_incremental() -%}
  {%- if flags.WHICH in ('build', 'run') -%}{{ return(dbt.is_incremental()) }}{%- endif -%}
  {{- return(false) -}}
{%- endmacro -%}
