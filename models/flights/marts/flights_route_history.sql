with flown as (
    select
        origin,
        destination,
        arr_delay_minutes - departure_delay_minutes as lost_minutes,
        cast(round({{ seconds_between('scheduled_departure_at', 'scheduled_arrival_at') }} / 60e0) as bigint) as clock_minutes
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select cast(sum(lost_minutes) as bigint) as lost_sum, count(*) as row_count from flown
),

by_route as (
    select
        origin,
        destination,
        cast(sum(lost_minutes) as bigint) as lost_sum,
        cast(sum(clock_minutes) as bigint) as clock_sum,
        count(clock_minutes) as clock_count,
        count(*) as row_count
    from flown
    group by origin, destination
)

select
    by_route.origin,
    by_route.destination,
    {{ shrunk_mean('by_route.lost_sum', 'by_route.row_count', 'overall.lost_sum', 'overall.row_count', 200) }} as route_lost_minutes,
    cast(by_route.clock_sum as double) / nullif(cast(by_route.clock_count as double), 0e0) as route_clock_minutes,
    cast(by_route.row_count as bigint) as row_count
from by_route
cross join overall
