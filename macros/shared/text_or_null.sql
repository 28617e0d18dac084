{#- Raw text without surrounding blanks; the source's null spellings and the empty string become null. -#}
{%- macro text_or_null(column, null_spellings=['NA']) -%}
  case
    when trim({{ column }}) in ('', {% for s in null_spellings %}'{{ s }}'{% if not loop.last %}, {% endif %}{% endfor %}) then null
    else trim({{ column }})
  end
{%- endmacro -%}
