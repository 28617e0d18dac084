with source as (
    select * from {{ source('flights_raw', 'weather') }}
),

renamed as (
    select
        {{ text_or_null('origin') }} as origin,
        {{ text_or_null('time_hour') }} as hour_utc,
        ({{ to_double(text_or_null('temp')) }} - 32e0) / 1.8e0 as temperature_c,
        ({{ to_double(text_or_null('dewp')) }} - 32e0) / 1.8e0 as dew_point_c,
        {{ to_double(text_or_null('wind_dir')) }} as wind_direction_degrees,
        {{ to_double(text_or_null('wind_speed')) }} * 1.609344e0 as wind_speed_kmh,
        {{ to_double(text_or_null('precip')) }} * 25.4e0 as precipitation_mm,
        {{ to_double(text_or_null('visib')) }} * 1.609344e0 as visibility_km,
        {{ to_double(text_or_null('pressure')) }} as pressure_hpa
    from source
)

select * from renamed
