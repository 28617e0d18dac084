with request as (
    select * from {{ ref('flights_clean') }}
),

features as (
    select
        request.flight_id,
        request.flight_date,
        request.departed_at,
        request.split,
        request.sample_bucket,
        cast(request.departure_delay_minutes as double) as departure_delay_minutes,
        coalesce(
            {{ great_circle_km('origins.latitude', 'origins.longitude', 'destinations.latitude', 'destinations.longitude') }},
            request.distance_miles * 1.609344e0
        ) as distance_km,
        sin({{ day_angle('request.scheduled_departure_at') }}) as departure_time_sin,
        cos({{ day_angle('request.scheduled_departure_at') }}) as departure_time_cos,
        {{ iso_weekday('request.scheduled_departure_at') }} >= 6 as is_weekend,
        {{ seconds_between('request.scheduled_departure_at', 'request.scheduled_arrival_at') }} / 60e0
        - routes.route_clock_minutes as schedule_padding_minutes,
        request.wind_speed_kmh,
        request.precipitation_mm,
        request.visibility_km,
        request.pressure_hpa,
        cast(year(request.scheduled_departure_at) - planes.manufactured_year as double) as plane_age_years,
        cast(planes.seats as double) as seats,
        carriers.carrier_lost_minutes,
        routes.route_lost_minutes,
        request.carrier,
        request.origin,
        request.destination,
        request.arr_delay_minutes
    from request
    left join {{ ref('flights_airports') }} as origins on request.origin = origins.airport
    left join {{ ref('flights_airports') }} as destinations on request.destination = destinations.airport
    left join {{ ref('flights_planes') }} as planes on request.tail_number = planes.tail_number
    left join {{ ref('flights_carrier_history') }} as carriers on request.carrier = carriers.carrier
    left join {{ ref('flights_route_history') }} as routes
        on request.origin = routes.origin and request.destination = routes.destination
)

select * from features
