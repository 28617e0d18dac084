-- What a provider calls a mile: its reported distances by the great circle between the ends, in miles, from the train split.
with driven as (
    select
        city,
        coalesce(provider, '') as provider,
        {{ hundredths('reported_distance') }} as reported,
        {{ hundredths('great_circle_km / 1.609344e0') }} as great_circle,
        {{ split_of('taxi', 'pickup_date', 'pickup_date', cut=taxi_city_value(['out_of_time_from'])) }} as split
    from {{ ref('int_taxi_trips') }}
    where {{ taxi_in_box('pickup') }} and {{ taxi_in_box('dropoff') }}
        and great_circle_km > 1e0 and reported_distance > 0e0 and reported_distance < 1e2 and pickup_date is not null
),

summed as (
    select
        city,
        provider,
        cast(sum(reported) as bigint) as reported_sum,
        cast(sum(great_circle) as bigint) as great_circle_sum,
        count(*) as row_count
    from driven
    where split = 'train'
    group by city, provider
    having count(*) >= 30
),

ratios as (
    select *, cast(reported_sum as double) / cast(great_circle_sum as double) as ratio from summed
),

ranked as (
    select
        *,
        row_number() over (partition by city order by ratio, provider) as place,
        count(*) over (partition by city) as provider_count
    from ratios
),

usual as (
    -- The lower median over providers: one that reports kilometres, or a few, do not move it.
    select city, ratio as usual_ratio from ranked where place = cast(floor(cast(provider_count + 1 as double) / 2e0) as bigint)
)

select
    ranked.city,
    ranked.provider,
    ranked.city || ':' || ranked.provider as provider_key,
    ranked.ratio,
    usual.usual_ratio,
    -- A kilometre is 0.62 miles: halfway to 1.609, on the scale of ratios, is 1.27.
    ranked.ratio > 1.27e0 * usual.usual_ratio as is_kilometres,
    cast(ranked.row_count as bigint) as row_count
from ranked
inner join usual on ranked.city = usual.city
