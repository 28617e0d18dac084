select airport, latitude, longitude from {{ ref('stg_flights__airports') }}
