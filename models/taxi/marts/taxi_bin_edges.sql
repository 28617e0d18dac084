-- Where the bins of latitude and longitude begin: quantiles of the ends of train trips, on cells of a thousandth of a degree.
-- Eighths, and the outermost ends by themselves: across the river a trip costs what no trip in town does.
{%- set per_mille = [2, 20, 125, 250, 375, 500, 625, 750, 875, 980, 998] %}
with trips as (
    select
        city
        {%- for end in ['pickup', 'dropoff'] %}{% for axis in ['latitude', 'longitude'] %},
        {{ taxi_cell(end, axis) }} as {{ end }}_{{ axis }}
        {%- endfor %}{% endfor %}
    from {{ ref('taxi_clean') }}
    where split = 'train'
),

-- One scan counts all four coordinates.
ends as (
    select
        city,
        case when grouping(pickup_latitude) = 0 or grouping(dropoff_latitude) = 0 then 'latitude' else 'longitude' end as axis,
        coalesce(pickup_latitude, pickup_longitude, dropoff_latitude, dropoff_longitude) as cell,
        count(*) as row_count
    from trips
    group by grouping sets ((city, pickup_latitude), (city, pickup_longitude), (city, dropoff_latitude), (city, dropoff_longitude))
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
