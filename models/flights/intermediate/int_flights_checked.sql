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
        weather.temperature_c,
        weather.dew_point_c,
        weather.wind_direction_degrees,
        weather.wind_speed_kmh,
        weather.precipitation_mm,
        weather.visibility_km,
        weather.pressure_hpa,
        weather.origin is not null as has_weather,
        airlines.carrier is not null as has_carrier,
        airports.airport is not null as has_destination,
        planes.tail_number is not null as has_aircraft,
        {{ great_circle_km('origins.latitude', 'origins.longitude', 'airports.latitude', 'airports.longitude') }} as great_circle_km,
        {{ clock_minutes("substr(flights.scheduled_hour_utc, 12, 2) || '00'") }} as scheduled_clock_utc
    from flights
    left join {{ ref('stg_flights__weather') }} as weather
        on flights.origin = weather.origin and flights.scheduled_hour_utc = weather.hour_utc
    left join {{ ref('stg_flights__airlines') }} as airlines on flights.carrier = airlines.carrier
    left join {{ ref('stg_flights__airports') }} as origins on flights.origin = origins.airport
    left join {{ ref('stg_flights__airports') }} as airports on flights.destination = airports.airport
    left join {{ ref('stg_flights__planes') }} as planes on flights.tail_number = planes.tail_number
),

checked as (
    select
        *,
        scheduled_departure_at is not null as ok_scheduled_departure,
        departure_delay_minutes is not null as ok_departed,
        arr_delay_minutes is not null and air_time_minutes is not null as ok_arrived,
        coalesce(origin in ('EWR', 'JFK', 'LGA'), false) as ok_origin_in_new_york,
        coalesce(wind_direction_degrees between 0e0 and 360e0, true) as ok_wind_direction,
        coalesce(origin <> destination, false) as ok_route,
        coalesce({{ matches('carrier', '^[0-9A-Z]{2}$') }}, false) as ok_carrier_code,
        coalesce({{ matches('destination', '^[A-Z]{3}$') }}, false) as ok_destination_code,
        coalesce(departure_delay_minutes between -60 and 1440, true) as ok_departure_delay,
        coalesce(arr_delay_minutes - departure_delay_minutes between -180 and 720, true) as ok_time_lost,
        coalesce(distance_miles between 1e0 and 6e3, true) as ok_distance,
        coalesce(distance_miles <= 12e0 * cast(air_time_minutes as double), true) as ok_speed,
        -- The weather file has one hour of 1,048 miles an hour.
        coalesce(wind_speed_kmh between 0e0 and 2e2, true) as ok_wind_speed,
        coalesce(visibility_km between 0e0 and 17e0, true) as ok_visibility_in_km,
        coalesce(pressure_hpa between 870e0 and 1085e0, true) as ok_pressure_in_hpa,
        coalesce(temperature_c between -60e0 and 60e0, true) as ok_temperature_in_celsius,
        coalesce(dew_point_c <= temperature_c + 5e-1, true) as ok_dew_point,
        -- Clocks may disagree by whole days: over midnight, and 24:00 is the 00:00 of the next day.
        coalesce(
            (departure_clock - scheduled_departure_clock - departure_delay_minutes) % 1440 = 0, true
        ) as ok_departure_clock,
        coalesce((arrival_clock - scheduled_arrival_clock - arr_delay_minutes) % 1440 = 0, true) as ok_arrival_clock,
        -- New York is five hours behind Greenwich, four on daylight-saving time.
        coalesce(
            (
                scheduled_clock_utc - scheduled_departure_clock + scheduled_departure_clock % 60
                - case when {{ is_daylight_saving('scheduled_departure_at') }} then 240 else 300 end
            ) % 1440 = 0, true
        ) as ok_utc_hour,
        coalesce(great_circle_km between 0.97e0 * distance_miles * 1.609344e0 and 1.03e0 * distance_miles * 1.609344e0, true) as ok_booked_distance,
        tail_number is not null as ok_tail_number,
        has_weather as ok_weather_known,
        has_carrier as ok_carrier_known,
        has_destination as ok_destination_known,
        has_aircraft as ok_aircraft_known
    from joined
)

select * from checked
