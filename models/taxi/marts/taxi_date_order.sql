-- In which order a provider writes day and month, measured by the month that its files' names carry.
with dated as (
    select
        city,
        coalesce(provider, '') as provider,
        coalesce(year(pickup_at) * 12 + month(pickup_at) = file_month, false) as is_in_month,
        coalesce(exchanged_month = file_month, false) as is_exchanged_in_month
    from {{ ref('int_taxi_trips') }}
    where file_month is not null
)

select
    cast(city as varchar) as city,
    cast(provider as varchar) as provider,
    cast(count(*) as bigint) as row_count,
    cast(count(*) filter (where is_in_month) as bigint) as month_first_count,
    cast(count(*) filter (where is_exchanged_in_month and not is_in_month) as bigint) as day_first_count,
    cast(count(*) filter (where not is_in_month and not is_exchanged_in_month) as bigint) as neither_count,
    cast(count(*) filter (where is_exchanged_in_month and not is_in_month) as double) / cast(count(*) as double) as day_first_share,
    count(*) filter (where is_exchanged_in_month and not is_in_month) > count(*) filter (where is_in_month) as is_day_first
from dated
group by city, provider
