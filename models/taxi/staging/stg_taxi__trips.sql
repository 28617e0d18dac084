{%- set layouts = ['dc', 'dc_meter', 'dc_csv', 'green', 'fares', 'fares_keyed', 'chicago'] -%}
{%- set body -%}
{%- for layout in layouts -%}
{{ staged_layout('taxi_raw', layout, taxi_columns()) }}
{%- if not loop.last %}
union all
{% endif -%}
{%- endfor -%}
{%- endset -%}
with source as (
{{ body }}
)

select
    *,
    '{{ local_md5(body)[:6] }}' as sql_version
from source
