{#-
  Whether a materialization rebuilds its table. dbt's own, and also where take_new_loads says that no row stays: then the table
  may get another shape, and the old one is kept until the new one is complete.
-#}
{%- macro should_full_refresh() -%}
  {{- return(old_loads() == ['all'] or dbt.should_full_refresh()) -}}
{%- endmacro -%}
