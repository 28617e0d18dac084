select airport, latitude, longitude, utc_offset_hours, has_daylight_saving from {{ ref('stg_flights__airports') }}
