-- How busy an airport usually is at an hour of a weekday, and what flights then lose on the way.
with flown as (
    select
        origin,
        flight_date,
        {{ iso_weekday('scheduled_departure_at') }} as scheduled_weekday,
        hour(scheduled_departure_at) as scheduled_hour,
        arr_delay_minutes - departure_delay_minutes as lost_minutes
    from {{ ref('flights_clean') }}
    where split = 'train'
),

overall as (
    select cast(sum(lost_minutes) as bigint) as lost_sum, count(*) as row_count from flown
),

days as (
    select scheduled_weekday, count(distinct flight_date) as day_count from flown group by scheduled_weekday
),

by_hour as (
    select
        origin,
        scheduled_weekday,
        scheduled_hour,
        cast(sum(lost_minutes) as bigint) as lost_sum,
        count(*) as row_count
    from flown
    group by origin, scheduled_weekday, scheduled_hour
)

select
    by_hour.origin,
    cast(by_hour.scheduled_weekday as integer) as scheduled_weekday,
    cast(by_hour.scheduled_hour as integer) as scheduled_hour,
    cast(by_hour.row_count as double) / cast(days.day_count as double) as usual_departures,
    {{ shrunk_mean('by_hour.lost_sum', 'by_hour.row_count', 'overall.lost_sum', 'overall.row_count', 200) }} as hour_lost_minutes,
    cast(by_hour.row_count as bigint) as row_count
from by_hour
inner join days on by_hour.scheduled_weekday = days.scheduled_weekday
cross join overall
