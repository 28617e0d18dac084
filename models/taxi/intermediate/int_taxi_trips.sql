{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='sync_all_columns', pre_hook='{{ leave_old_loads() }}') }}
{%- set body -%}
placed as (
    select
        *,
        {%- for end in ['pickup', 'dropoff'] %}
        {{ micro_degrees(end ~ '_latitude') }} as {{ end }}_latitude_micro,
        {{ micro_degrees(end ~ '_longitude') }} as {{ end }}_longitude_micro,
        {%- endfor %}
        -- Without four coordinates a trip looks like many others; then only the source's own key distinguishes it from them.
        coalesce(pickup_latitude + pickup_longitude + dropoff_latitude + dropoff_longitude, 0e0) <> 0e0 as is_placed
    from staged
),

keyed as (
    select
        raw_load_id, raw_file, raw_row, sql_version, city, provider, source_key, pickup_at, dropoff_at,
        pickup_latitude, pickup_longitude, dropoff_latitude, dropoff_longitude,
        fare_usd, total_usd, reported_distance, duration_minutes, passenger_count, airport_flag,
        fare_usd + coalesce(tip_usd, 0e0) + coalesce(surcharge_usd, 0e0) + coalesce(extra_usd, 0e0) + coalesce(toll_usd, 0e0) as parts_usd,
        {{ iso_date('pickup_at') }} as pickup_date,
        {{ file_month('raw_file') }} as file_month,
        year(pickup_exchanged_at) * 12 + month(pickup_exchanged_at) as exchanged_month,
        {{ great_circle_km('pickup_latitude', 'pickup_longitude', 'dropoff_latitude', 'dropoff_longitude') }} as great_circle_km,
        {{ hash_63(var('sample_salt'), hash_key([
            'city', 'provider', iso_minute('pickup_at'), 'second(pickup_at)', iso_minute('dropoff_at'),
            'pickup_latitude_micro', 'pickup_longitude_micro', 'dropoff_latitude_micro', 'dropoff_longitude_micro',
            hundredths('fare_usd'), hundredths('reported_distance'), hundredths('duration_minutes'),
            "case when not is_placed then coalesce(source_key, raw_load_id || '-' || cast(raw_row as varchar)) end",
        ])) }} as trip_hash
    from placed
)
{%- endset -%}
with staged as (
    select * from {{ ref('stg_taxi__trips') }}
    where {{ take_new_loads('(select raw_load_id, max(sql_version) as version from ' ~ ref('stg_taxi__trips') ~ ' group by raw_load_id)', local_md5(body)[:6]) }}
),

{{ body }}

select
    cast(raw_load_id as varchar) as raw_load_id,
    cast(raw_file as varchar) as raw_file,
    cast(raw_row as bigint) as raw_row,
    sql_version || '{{ local_md5(body)[:6] }}' as version,
    cast(city as varchar) as city,
    provider,
    source_key,
    pickup_at,
    dropoff_at,
    pickup_date,
    file_month,
    exchanged_month,
    pickup_latitude,
    pickup_longitude,
    dropoff_latitude,
    dropoff_longitude,
    great_circle_km,
    fare_usd,
    total_usd,
    parts_usd,
    reported_distance,
    duration_minutes,
    passenger_count,
    airport_flag,
    trip_hash
from keyed
