{%- set body -%}
with trips as (
    select
        *,
        {{ taxi_tariff_value('drop_usd') }} as tariff_drop_usd,
        city || ':' || coalesce(provider, '') as provider_key,
        exists (
            select 1 from {{ ref('int_taxi_duplicates') }} as seen
            where seen.trip_hash = trips.trip_hash and seen.raw_load_id = trips.raw_load_id and seen.raw_row = trips.raw_row
        ) as is_duplicate,
        exists (
            select 1 from {{ ref('int_taxi_duplicates') }} as seen
            where seen.trip_hash = trips.trip_hash and seen.raw_load_id = trips.raw_load_id and seen.raw_row = trips.raw_row and seen.is_exact
        ) as is_exact_duplicate
    from {{ ref('int_taxi_trips') }} as trips
),

checked as (
    select
        *,
        coalesce(city in ('{{ taxi_cities().keys() | join("', '") }}'), false) as ok_city,
        fare_usd is not null as ok_fare_present,
        -- A year of three digits is read as one of antiquity.
        coalesce(year(pickup_at) between 1900 and 2100, false) as ok_pickup_time,
        pickup_latitude is not null and pickup_longitude is not null as ok_pickup_present,
        dropoff_latitude is not null and dropoff_longitude is not null as ok_dropoff_present,
        coalesce(passenger_count between 0e0 and 9e0 and passenger_count = floor(passenger_count), true) as ok_passenger_count,
        coalesce(provider <> '', false) as ok_provider_present,
        coalesce(fare_usd >= tariff_drop_usd, true) as ok_fare_minimum,
        coalesce(fare_usd <= {{ taxi_city_value(['fare_cap_usd']) }}, true) as ok_fare_cap,
        coalesce(pickup_latitude <> 0e0 or pickup_longitude <> 0e0, true) as ok_pickup_not_zero,
        coalesce(dropoff_latitude <> 0e0 or dropoff_longitude <> 0e0, true) as ok_dropoff_not_zero,
        {%- for end in ['pickup', 'dropoff'] %}
        -- Zero and exchanged coordinates have rules of their own.
        coalesce(
            {{ taxi_in_box(end) }} or ({{ end }}_latitude = 0e0 and {{ end }}_longitude = 0e0) or {{ taxi_is_swapped(end) }}, true
        ) as ok_{{ end }}_in_box,
        coalesce(not {{ taxi_is_swapped(end) }}, true) as ok_{{ end }}_not_swapped,
        {%- endfor %}
        -- Two points within some 50 metres of each other: either end is wrong, or it was a round trip, and both have no distance.
        coalesce(abs(pickup_latitude - dropoff_latitude) + abs(pickup_longitude - dropoff_longitude) >= 5e-4, true) as ok_ends_apart,
        coalesce(reported_distance >= 0e0, true) as ok_distance_sign,
        coalesce(reported_distance <= 150e0, true) as ok_distance_plausible,
        coalesce(duration_minutes between 0e0 and 720e0, true) as ok_duration,
        not (
            provider_key in (select units.provider_key from {{ ref('int_taxi_provider_units') }} as units where units.is_kilometres)
            and coalesce(reported_distance > 0e0 and reported_distance <= 150e0, false)
        ) as ok_distance_in_miles,
        coalesce(year(pickup_at) * 12 + month(pickup_at) = file_month or year(pickup_at) < 1900 or year(pickup_at) > 2100, true) as ok_file_month,
        coalesce(dropoff_at >= pickup_at, true) as ok_dropoff_after_pickup,
        coalesce(abs(total_usd - parts_usd) < 1.5e-2, true) as ok_total,
        -- A taxi is nowhere 180 km/h fast on the whole of a trip; times that are rounded to the hour say nothing here.
        coalesce(great_circle_km <= 3e0 * duration_minutes or duration_minutes < 1e0, true) as ok_speed,
        -- The meter counts at least the great circle; half of that is left to block middles and negotiated fares.
        coalesce(
            fare_usd >= 5e-1 * (tariff_drop_usd + {{ taxi_tariff_value('mile_usd') }} * great_circle_km / 1.609344e0)
            or not ({{ taxi_in_box('pickup') }} and {{ taxi_in_box('dropoff') }}), true
        ) as ok_fare_for_distance,
        pickup_at is null or year(pickup_at) < 1900 or year(pickup_at) > 2100 or {{ taxi_tariff_value('drop_usd') }} is not null as ok_tariff_known,
        coalesce(
            airport_flag = case
                when {{ taxi_airport('pickup_latitude', 'pickup_longitude') }} <> 'none' or {{ taxi_airport('dropoff_latitude', 'dropoff_longitude') }} <> 'none' then 'Y'
                else 'N'
            end or airport_flag = 'Y' and pickup_latitude + dropoff_latitude is null, true
        ) as ok_airport_flag
    from trips
)
{%- endset -%}
{{ body }}

select *, '{{ local_md5(body)[:12] }}' as rules_version from checked
