with flights as (
    select
        *,
        {{ add_minutes('flight_midnight_at', 'scheduled_departure_clock') }} as scheduled_departure_at,
        -- An arrival clock before the departure clock belongs to the next day.
        {{ add_minutes('flight_midnight_at', 'scheduled_arrival_clock + case when scheduled_arrival_clock < scheduled_departure_clock then 1440 else 0 end') }} as scheduled_arrival_at,
        row_number() over (partition by flight_id order by raw_load_id, raw_row) > 1 as is_duplicate
    from {{ ref('stg_flights__flights') }}
),

joined as (
    select
        flights.*,
        weather.wind_speed_kmh,
        weather.precipitation_mm,
        weather.visibility_km,
        weather.pressure_hpa,
        airports.airport is not null as has_destination,
        planes.tail_number is not null as has_aircraft
    from flights
    left join {{ ref('stg_flights__weather') }} as weather
        on flights.origin = weather.origin and flights.scheduled_hour_utc = weather.hour_utc
    left join {{ ref('stg_flights__airports') }} as airports on flights.destination = airports.airport
    left join {{ ref('stg_flights__planes') }} as planes on flights.tail_number = planes.tail_number
),

checked as (
    select
        *,
        scheduled_departure_at is not null as ok_scheduled_departure,
        departure_delay_minutes is not null as ok_departed,
        arr_delay_minutes is not null as ok_arrived,
        coalesce(origin in ('EWR', 'JFK', 'LGA'), false) as ok_origin_in_new_york,
        coalesce(origin <> destination, false) as ok_route,
        coalesce({{ matches('carrier', '^[0-9A-Z]{2}$') }}, false) as ok_carrier_code,
        coalesce(departure_delay_minutes between -60 and 1440, true) as ok_departure_delay,
        coalesce(visibility_km between 0e0 and 17e0, true) as ok_visibility_in_km,
        coalesce(
            (departure_clock - scheduled_departure_clock - departure_delay_minutes) % 1440 = 0, true
        ) as ok_departure_clock,
        has_destination as ok_destination_known,
        has_aircraft as ok_aircraft_known
    from joined
)

select * from checked
