-- Train trips by hour of the week and zones: how many, what they cost, and what the meter would have charged for the street
-- grid alone. All histories are fitted from these sums of integers, and one scan of the trips makes them.
with trips as (
    select
        *,
        {%- for end in ['pickup', 'dropoff'] %}{% for axis in ['latitude', 'longitude'] %}
        city || ':{{ axis }}' as {{ end }}_{{ axis }}_axis,
        {{ taxi_cell(end, axis) }} as {{ end }}_{{ axis }}_cell,
        {%- endfor %}{% endfor %}
        {{ taxi_street_km('along') }} + {{ taxi_street_km('across') }} as grid_km
    from {{ ref('taxi_clean') }}
    where split = 'train'
),

zoned as (
    select
        trips.city,
        {{ hour_of_week('trips.pickup_at') }} as hour_of_week,
        {{ taxi_zone('pickup') }} as pickup_zone,
        {{ taxi_zone('dropoff') }} as dropoff_zone,
        {{ taxi_zone('pickup', 6) }} as pickup_quarter,
        {{ taxi_zone('dropoff', 6) }} as dropoff_quarter,
        {{ hundredths('trips.fare_usd') }} as fare_cents,
        {{ hundredths(taxi_metered_usd('trips.grid_km')) }} as metered_cents
    from trips
    {{- taxi_bins_joined('trips') }}
)

select
    city,
    hour_of_week,
    pickup_zone,
    dropoff_zone,
    pickup_quarter,
    dropoff_quarter,
    cast(sum(fare_cents) as bigint) as fare_cents,
    cast(sum(metered_cents) as bigint) as metered_cents,
    count(*) as row_count
from zoned
group by city, hour_of_week, pickup_zone, dropoff_zone, pickup_quarter, dropoff_quarter
