with checked as (
    select * from {{ ref('int_taxi_checked') }}
    where not is_duplicate and {{ is_kept('int_taxi_checked') }}
)

select
    raw_load_id || '-' || cast(raw_row as varchar) as trip_id,
    cast(pickup_date as varchar) as pickup_date,
    {{ split_of('taxi', 'pickup_date', 'pickup_date', cut=taxi_city_value(['production_from'])) }} as split,
    {{ low_bits('trip_hash') }} as sample_bucket,
    city,
    pickup_at,
    pickup_latitude,
    pickup_longitude,
    dropoff_latitude,
    dropoff_longitude,
    fare_usd,
    raw_load_id,
    raw_row
from checked
