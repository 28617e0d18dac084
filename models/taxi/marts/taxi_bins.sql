-- The bin of every cell of a city's box, so that a feature finds it by equality: how many edges are at or before the cell.
with digits as (
    {%- for digit in range(32) %}
    select {{ digit }} as digit{% if not loop.last %} union all{% endif %}
    {%- endfor %}
),

cells as (
    select tens.digit * 32 + ones.digit as cell from digits as tens cross join digits as ones
),

axes as (
    select distinct city, axis from {{ ref('taxi_bin_edges') }}
)

select
    axes.city || ':' || axes.axis as city_axis,
    cast(cells.cell as integer) as cell,
    cast(count(edges.bin) as integer) as bin
from axes
cross join cells
left join {{ ref('taxi_bin_edges') }} as edges
    on axes.city = edges.city and axes.axis = edges.axis and cells.cell >= edges.first_cell
group by axes.city, axes.axis, cells.cell
