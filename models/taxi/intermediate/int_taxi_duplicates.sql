-- Trips that are in an earlier row. By the order of loads and rows and not of arrival, so that a file that comes late
-- gives the same table as one that came in time.
with repeated as (
    select trip_hash from {{ ref('int_taxi_trips') }} group by trip_hash having count(*) > 1
),

ranked as (
    select
        trips.raw_load_id,
        trips.raw_row,
        trips.trip_hash,
        row_number() over (partition by trips.trip_hash order by trips.raw_load_id, trips.raw_row) as place,
        row_number() over (partition by trips.trip_hash, trips.raw_load_id, trips.source_key order by trips.raw_row) as place_of_key
    from {{ ref('int_taxi_trips') }} as trips
    inner join repeated on trips.trip_hash = repeated.trip_hash
)

select raw_load_id, raw_row, trip_hash, place_of_key > 1 as is_exact
from ranked
where place > 1
