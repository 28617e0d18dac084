-- What the weather usually is at an airport at an hour of the day: each hour of the train split's dates once, in tenths.
{%- set measures = ['wind', 'visibility', 'pressure', 'dew_point_spread'] %}
with flown as (
    select distinct
        origin,
        flight_date,
        hour(scheduled_departure_at) as scheduled_hour,
        cast(round(wind_speed_kmh * 10e0) as bigint) as wind,
        cast(round(visibility_km * 10e0) as bigint) as visibility,
        cast(round(pressure_hpa * 10e0) as bigint) as pressure,
        cast(round((temperature_c - dew_point_c) * 10e0) as bigint) as dew_point_spread
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select
        {%- for measure in measures %}
        cast(sum({{ measure }}) as bigint) as {{ measure }}_sum,
        count({{ measure }}) as {{ measure }}_count{{ ',' if not loop.last }}
        {%- endfor %}
    from flown
),

by_hour as (
    select
        origin,
        scheduled_hour,
        {%- for measure in measures %}
        cast(coalesce(sum({{ measure }}), 0) as bigint) as {{ measure }}_sum,
        count({{ measure }}) as {{ measure }}_count,
        {%- endfor %}
        count(*) as row_count
    from flown
    group by origin, scheduled_hour
),

shrunk as (
    select
        by_hour.origin,
        by_hour.scheduled_hour,
        by_hour.row_count,
        {%- for measure in measures %}
        {{ shrunk_mean('by_hour.' ~ measure ~ '_sum', 'by_hour.' ~ measure ~ '_count', 'overall.' ~ measure ~ '_sum', 'overall.' ~ measure ~ '_count', 20) }} / 10e0
        as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from by_hour
    cross join overall
)

select
    origin,
    cast(scheduled_hour as integer) as scheduled_hour,
    wind as usual_wind_kmh,
    visibility as usual_visibility_km,
    pressure as usual_pressure_hpa,
    dew_point_spread as usual_dew_point_spread_c,
    cast(row_count as bigint) as row_count
from shrunk
