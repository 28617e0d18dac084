with flown as (
    select
        origin,
        destination,
        arr_delay_minutes - departure_delay_minutes as lost_minutes,
        cast(air_time_minutes as bigint) as air_minutes,
        cast(round(distance_miles) as bigint) as miles
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select
        cast(sum(lost_minutes) as bigint) as lost_sum,
        cast(sum(air_minutes) as bigint) as air_sum,
        cast(sum(miles) as bigint) as miles_sum,
        count(*) as row_count
    from flown
),

by_route as (
    select
        origin,
        destination,
        cast(sum(lost_minutes) as bigint) as lost_sum,
        cast(sum(air_minutes) as bigint) as air_sum,
        cast(sum(miles) as bigint) as miles_sum,
        count(*) as row_count
    from flown
    group by origin, destination
),

shrunk as (
    select
        by_route.origin,
        by_route.destination,
        {{ shrunk_mean('by_route.lost_sum', 'by_route.row_count', 'overall.lost_sum', 'overall.row_count', 200) }} as route_lost_minutes,
        {{ shrunk_mean('by_route.air_sum', 'by_route.row_count', 'overall.air_sum', 'overall.row_count', 20) }} as air_minutes,
        {{ shrunk_mean('by_route.miles_sum', 'by_route.row_count', 'overall.miles_sum', 'overall.row_count', 20) }} as miles,
        cast(by_route.miles_sum as double) / cast(by_route.row_count as double) as route_miles,
        by_route.row_count
    from by_route
    cross join overall
)

select
    origin,
    destination,
    route_lost_minutes,
    -- What is shrunk is the pace, minutes a mile: the overall mean of air times says nothing about one route's length.
    air_minutes / miles * route_miles as route_air_minutes,
    cast(row_count as bigint) as row_count
from shrunk
