{#- Parts of a business key as one text: separated, nulls spelled out, so that ('a', null) and (null, 'a') differ. -#}
{%- macro hash_key(parts) -%}
  {%- for part in parts -%}
    coalesce(cast({{ part }} as varchar), '<null>'){% if not loop.last %} || '|' || {% endif %}
  {%- endfor -%}
{%- endmacro -%}
