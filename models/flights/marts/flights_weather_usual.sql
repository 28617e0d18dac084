-- What the weather usually is at an airport at an hour of the day: each hour of the train split's dates once, in tenths.
with flown as (
    select distinct
        origin,
        flight_date,
        hour(scheduled_departure_at) as scheduled_hour,
        cast(round(wind_speed_kmh * 10e0) as bigint) as wind_tenths,
        cast(round(visibility_km * 10e0) as bigint) as visibility_tenths,
        cast(round(pressure_hpa * 10e0) as bigint) as pressure_tenths,
        cast(round((temperature_c - dew_point_c) * 10e0) as bigint) as spread_tenths
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select
        cast(sum(wind_tenths) as bigint) as wind_sum,
        cast(sum(visibility_tenths) as bigint) as visibility_sum,
        cast(sum(pressure_tenths) as bigint) as pressure_sum,
        cast(sum(spread_tenths) as bigint) as spread_sum,
        count(wind_tenths) as wind_count,
        count(visibility_tenths) as visibility_count,
        count(pressure_tenths) as pressure_count,
        count(spread_tenths) as spread_count
    from flown
),

by_hour as (
    select
        origin,
        scheduled_hour,
        cast(sum(wind_tenths) as bigint) as wind_sum,
        cast(sum(visibility_tenths) as bigint) as visibility_sum,
        cast(sum(pressure_tenths) as bigint) as pressure_sum,
        cast(sum(spread_tenths) as bigint) as spread_sum,
        count(wind_tenths) as wind_count,
        count(visibility_tenths) as visibility_count,
        count(pressure_tenths) as pressure_count,
        count(spread_tenths) as spread_count,
        count(*) as row_count
    from flown
    group by origin, scheduled_hour
)

select
    by_hour.origin,
    cast(by_hour.scheduled_hour as integer) as scheduled_hour,
    {{ shrunk_mean('coalesce(by_hour.wind_sum, 0)', 'by_hour.wind_count', 'overall.wind_sum', 'overall.wind_count', 20) }} / 10e0 as usual_wind_kmh,
    {{ shrunk_mean('coalesce(by_hour.visibility_sum, 0)', 'by_hour.visibility_count', 'overall.visibility_sum', 'overall.visibility_count', 20) }} / 10e0
    as usual_visibility_km,
    {{ shrunk_mean('coalesce(by_hour.pressure_sum, 0)', 'by_hour.pressure_count', 'overall.pressure_sum', 'overall.pressure_count', 20) }} / 10e0
    as usual_pressure_hpa,
    {{ shrunk_mean('coalesce(by_hour.spread_sum, 0)', 'by_hour.spread_count', 'overall.spread_sum', 'overall.spread_count', 20) }} / 10e0
    as usual_dew_point_spread_c,
    cast(by_hour.row_count as bigint) as row_count
from by_hour
cross join overall
