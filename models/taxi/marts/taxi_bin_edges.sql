-- Where the bins of latitude and longitude begin: quantiles of the ends of train trips, on cells of a thousandth of a degree.
-- Eighths, and the outermost hundredths by themselves: across the river a trip costs what no trip in town does.
{%- set per_mille = [10, 125, 250, 375, 500, 625, 750, 875, 990] %}
with ends as (
    {%- for end in ['pickup', 'dropoff'] %}
    {%- for axis in ['latitude', 'longitude'] %}
    select city, '{{ axis }}' as axis, {{ taxi_cell(end, axis) }} as cell, count(*) as row_count
    from {{ ref('taxi_clean') }}
    where split = 'train'
    group by city, {{ taxi_cell(end, axis) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

cells as (
    select city, axis, cell, cast(sum(row_count) as bigint) as row_count from ends group by city, axis, cell
),

ranked as (
    select
        city,
        axis,
        cell,
        cast(sum(row_count) over (partition by city, axis order by cell) as bigint) as below,
        cast(sum(row_count) over (partition by city, axis) as bigint) as total
    from cells
),

bins as (
    {%- for share in per_mille %}
    select {{ loop.index }} as bin, {{ share }} as per_mille{% if not loop.last %} union all{% endif %}
    {%- endfor %}
)

select
    ranked.city,
    ranked.axis,
    cast(bins.bin as integer) as bin,
    cast(min(ranked.cell) + 1 as integer) as first_cell
from ranked
inner join bins on ranked.below * 1000 >= ranked.total * bins.per_mille
group by ranked.city, ranked.axis, bins.bin
