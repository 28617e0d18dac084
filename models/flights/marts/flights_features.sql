with request as (
    select
        *,
        hour(scheduled_departure_at) as scheduled_hour,
        {{ iso_weekday('scheduled_departure_at') }} as scheduled_weekday,
        {{ is_daylight_saving('scheduled_departure_at') }} as is_daylight_saving,
        {{ seconds_between('scheduled_departure_at', 'scheduled_arrival_at') }} / 60e0 as scheduled_clock_minutes
    from {{ ref('flights_clean') }}
),

joined as (
    select
        request.*,
        origins.latitude as origin_latitude,
        origins.longitude as origin_longitude,
        destinations.latitude as destination_latitude,
        destinations.longitude as destination_longitude,
        -- The clock at the destination less the clock at the origin; a change of clocks during the flight is left out.
        60e0 * (destinations.utc_offset_hours - origins.utc_offset_hours)
        + case when request.is_daylight_saving and destinations.has_daylight_saving then 60e0 else 0e0 end
        - case when request.is_daylight_saving and origins.has_daylight_saving then 60e0 else 0e0 end as clock_shift_minutes,
        planes.manufactured_year,
        planes.seats,
        carriers.carrier_lost_minutes,
        carriers.carrier_spread_minutes,
        routes.route_lost_minutes,
        routes.route_air_minutes,
        usual.usual_wind_kmh,
        usual.usual_visibility_km,
        usual.usual_pressure_hpa,
        usual.usual_dew_point_spread_c,
        congestion.usual_departures,
        congestion.hour_lost_minutes
    from request
    left join {{ ref('flights_airports') }} as origins on request.origin = origins.airport
    left join {{ ref('flights_airports') }} as destinations on request.destination = destinations.airport
    left join {{ ref('flights_planes') }} as planes on request.tail_number = planes.tail_number
    left join {{ ref('flights_carrier_history') }} as carriers on request.carrier = carriers.carrier
    left join {{ ref('flights_route_history') }} as routes
        on request.origin = routes.origin and request.destination = routes.destination
    left join {{ ref('flights_weather_usual') }} as usual
        on request.origin = usual.origin and request.scheduled_hour = usual.scheduled_hour
    left join {{ ref('flights_congestion') }} as congestion
        on request.origin = congestion.origin
        and request.scheduled_weekday = congestion.scheduled_weekday
        and request.scheduled_hour = congestion.scheduled_hour
),

flown as (
    select
        *,
        {{ bearing('origin_latitude', 'origin_longitude', 'destination_latitude', 'destination_longitude') }} as course,
        scheduled_clock_minutes - clock_shift_minutes as scheduled_minutes
    from joined
),

features as (
    select
        flight_id,
        flight_date,
        departed_at,
        split,
        sample_bucket,
        cast(departure_delay_minutes as double) as departure_delay_minutes,
        coalesce(
            {{ great_circle_km('origin_latitude', 'origin_longitude', 'destination_latitude', 'destination_longitude') }},
            distance_miles * 1.609344e0
        ) as distance_km,
        sin(course) as bearing_sin,
        cos(course) as bearing_cos,
        sin({{ day_angle('scheduled_departure_at') }}) as departure_time_sin,
        cos({{ day_angle('scheduled_departure_at') }}) as departure_time_cos,
        sin({{ week_angle('scheduled_departure_at') }}) as weekday_sin,
        cos({{ week_angle('scheduled_departure_at') }}) as weekday_cos,
        scheduled_weekday >= 6 as is_weekend,
        scheduled_minutes,
        route_air_minutes,
        scheduled_minutes - route_air_minutes as schedule_padding_minutes,
        {{ tailwind('wind_speed_kmh', 'wind_direction_degrees', 'course') }} as tailwind_kmh,
        wind_speed_kmh - usual_wind_kmh as wind_anomaly_kmh,
        precipitation_mm,
        visibility_km - usual_visibility_km as visibility_anomaly_km,
        pressure_hpa - usual_pressure_hpa as pressure_anomaly_hpa,
        temperature_c - dew_point_c - usual_dew_point_spread_c as dew_point_spread_anomaly_c,
        coalesce(usual_departures, 0e0) as usual_departures,
        hour_lost_minutes,
        cast(year(scheduled_departure_at) - manufactured_year as double) as plane_age_years,
        cast(seats as double) as seats,
        carrier_lost_minutes,
        carrier_spread_minutes,
        route_lost_minutes,
        carrier,
        origin,
        destination,
        arr_delay_minutes
    from flown
)

select * from features
