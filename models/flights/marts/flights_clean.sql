with checked as (
    select * from {{ ref('int_flights_checked') }}
    where not is_duplicate and {{ is_kept('int_flights_checked') }}
)

select
    flight_id,
    cast(flight_date as varchar) as flight_date,
    {{ add_minutes('scheduled_departure_at', 'departure_delay_minutes') }} as departed_at,
    {{ split_of('flights', 'flight_date', 'flight_date') }} as split,
    {{ sample_bucket('flight_id') }} as sample_bucket,
    carrier,
    tail_number,
    origin,
    destination,
    scheduled_departure_at,
    scheduled_arrival_at,
    departure_delay_minutes,
    distance_miles,
    temperature_c,
    dew_point_c,
    wind_direction_degrees,
    wind_speed_kmh,
    precipitation_mm,
    visibility_km,
    pressure_hpa,
    air_time_minutes,
    arr_delay_minutes,
    raw_load_id
from checked
