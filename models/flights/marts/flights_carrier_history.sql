-- A flight gains or loses time between its gates: arrival delay less departure delay, whole minutes.
with flown as (
    select carrier, cast(arr_delay_minutes - departure_delay_minutes as bigint) as lost_minutes
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select
        cast(sum(lost_minutes) as bigint) as lost_sum,
        cast(sum(lost_minutes * lost_minutes) as bigint) as lost_square_sum,
        count(*) as row_count
    from flown
),

by_carrier as (
    select
        carrier,
        cast(sum(lost_minutes) as bigint) as lost_sum,
        cast(sum(lost_minutes * lost_minutes) as bigint) as lost_square_sum,
        count(*) as row_count
    from flown
    group by carrier
),

means as (
    select
        by_carrier.carrier,
        {{ shrunk_mean('by_carrier.lost_sum', 'by_carrier.row_count', 'overall.lost_sum', 'overall.row_count', 200) }} as carrier_lost_minutes,
        {{ shrunk_mean('by_carrier.lost_square_sum', 'by_carrier.row_count', 'overall.lost_square_sum', 'overall.row_count', 200) }} as lost_square,
        by_carrier.row_count
    from by_carrier
    cross join overall
)

select
    carrier,
    carrier_lost_minutes,
    -- A mean of squares is never below the square of the mean, but rounding may put it there.
    case when lost_square > carrier_lost_minutes * carrier_lost_minutes then sqrt(lost_square - carrier_lost_minutes * carrier_lost_minutes) else 0e0 end
    as carrier_spread_minutes,
    cast(row_count as bigint) as row_count
from means
