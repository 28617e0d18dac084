-- A flight gains or loses time between its gates: arrival delay less departure delay, whole minutes.
with flown as (
    select carrier, arr_delay_minutes - departure_delay_minutes as lost_minutes
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select cast(sum(lost_minutes) as bigint) as lost_sum, count(*) as row_count from flown
),

by_carrier as (
    select carrier, cast(sum(lost_minutes) as bigint) as lost_sum, count(*) as row_count
    from flown
    group by carrier
)

select
    by_carrier.carrier,
    {{ shrunk_mean('by_carrier.lost_sum', 'by_carrier.row_count', 'overall.lost_sum', 'overall.row_count', 200) }} as carrier_lost_minutes,
    cast(by_carrier.row_count as bigint) as row_count
from by_carrier
cross join overall
