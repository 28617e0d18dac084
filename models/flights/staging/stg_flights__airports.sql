with source as (
    select * from {{ source('flights_raw', 'airports') }}
),

renamed as (
    select
        {{ text_or_null('faa') }} as airport,
        {{ text_or_null('name') }} as airport_name,
        {{ to_double(text_or_null('lat')) }} as latitude,
        {{ to_double(text_or_null('lon')) }} as longitude,
        {{ to_double(text_or_null('alt')) }} * 0.3048e0 as altitude_m,
        {{ to_double(text_or_null('tz')) }} as utc_offset_hours,
        {{ text_or_null('dst') }} = 'A' as has_daylight_saving
    from source
)

select * from renamed
