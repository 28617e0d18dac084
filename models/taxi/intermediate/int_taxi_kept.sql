{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='sync_all_columns', pre_hook='{{ leave_old_loads() }}') }}
{%- set body -%}
select
    raw_load_id,
    raw_row,
    pickup_date,
    {{ split_of('taxi', 'pickup_date', 'pickup_date', cut=taxi_city_value(['out_of_time_from'])) }} as split,
    {{ low_bits('trip_hash') }} as sample_bucket,
    city,
    pickup_at,
    pickup_latitude,
    pickup_longitude,
    dropoff_latitude,
    dropoff_longitude,
    fare_usd
from {{ ref('int_taxi_checked') }}
where not is_duplicate and {{ is_kept('int_taxi_checked') }}
{%- endset -%}
with kept as (
    {{ body }}
    and {{ take_new_loads(ref('int_taxi_loads'), local_md5(body)) }}
)

select
    *,
    (select loads.version from {{ ref('int_taxi_loads') }} as loads where loads.raw_load_id = kept.raw_load_id) || '{{ local_md5(body) }}' as version
from kept
