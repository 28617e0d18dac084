select
    raw_load_id || '-' || cast(raw_row as varchar) as trip_id,
    cast(pickup_date as varchar) as pickup_date,
    split,
    sample_bucket,
    city,
    pickup_at,
    pickup_latitude,
    pickup_longitude,
    dropoff_latitude,
    dropoff_longitude,
    fare_usd,
    raw_load_id,
    raw_row
from {{ ref('int_taxi_kept') }}
