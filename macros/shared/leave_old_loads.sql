{#- The pre-hook of a table that uses take_new_loads: removes the rows that it says, in the transaction that adds the new ones. -#}
{%- macro leave_old_loads() -%}
  {%- set old = old_loads() -%}
  {%- if old and old != ['all'] -%}
    delete from {{ this }} where raw_load_id || ':' || version in ('{{ old | join("', '") }}')
  {%- endif -%}
{%- endmacro -%}
