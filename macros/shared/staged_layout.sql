{#-
  The rows of one raw table, read as its source's `meta.layout` and its columns' `meta.to` say: one row in, one row out.
  `columns` is a dictionary of the wanted columns and how each is read (text, double, time); what a layout does not have
  is null. A time becomes `<name without _time>_at`, and `_exchanged_at` is the same text with day and month exchanged, where a
  form has them side by side. Empty while parsing, when dbt shows no graph.
-#}
{%- macro staged_layout(source_name, table, columns) -%}
  {%- set found = namespace(layout={}, raw={}) -%}
  {%- if execute -%}
    {%- for node in graph.sources.values() if node.source_name == source_name and node.name == table -%}
      {%- set found.layout = node.config.meta['layout'] -%}
      {%- for name, column in node.columns.items() if column.config.meta.get('to') -%}
        {%- do found.raw.update({column.config.meta['to']: adapter.quote(name)}) -%}
      {%- endfor -%}
    {%- endfor -%}
    {%- for wanted in found.raw if wanted not in columns -%}
      {{ exceptions.raise_compiler_error("the layout " ~ table ~ " maps a column to " ~ wanted ~ ", which is none of " ~ columns.keys() | join(', ')) }}
    {%- endfor -%}
  {%- endif -%}
  {%- set exchanged = [] -%}
  {%- for form in found.layout.get('times', []) if 'MM/DD' in form -%}{%- do exchanged.append(form.replace('MM/DD', 'DD/MM')) -%}{%- endfor -%}
  {%- set nulls = found.layout.get('nulls', []) -%}
  select
    raw_load_id,
    raw_file,
    raw_row,
    {% if found.layout.get('simulated_city') -%}
    case when substr(raw_file, 1, 10) = 'simulated_' then '{{ found.layout['simulated_city'] }}' else '{{ found.layout.get('city') }}' end as city
    {%- else -%}
    '{{ found.layout.get('city') }}' as city
    {%- endif -%}
    {%- for name, kind in columns.items() -%}
    {%- set text = found.raw.get(name) -%}
    {%- if kind == 'time' %},
    {{ timestamp_by_formats('trim(' ~ text ~ ')', found.layout['times']) if text else 'cast(null as timestamp)' }} as {{ name[:-5] }}_at,
    {{ timestamp_by_formats('trim(' ~ text ~ ')', exchanged) if text and exchanged else 'cast(null as timestamp)' }} as {{ name[:-5] }}_exchanged_at
    {%- elif kind == 'double' %},
    {{ to_double('trim(' ~ text ~ ')') if text else 'cast(null as double)' }} as {{ name }}
    {%- else %},
    {{ text_or_null(text, nulls) if text else 'cast(null as varchar)' }} as {{ name }}
    {%- endif -%}
    {%- endfor %}
  from {{ source(source_name, table) }}
{%- endmacro -%}
