{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='sync_all_columns', pre_hook='{{ leave_old_loads() }}') }}
{%- set body = rule_counts('int_taxi_checked') -%}
with counted as (
    {{ rule_counts('int_taxi_checked', take_new_loads(ref('int_taxi_loads'), local_md5(body))) }}
)

select
    *,
    (select loads.version from {{ ref('int_taxi_loads') }} as loads where loads.raw_load_id = counted.raw_load_id) || '{{ local_md5(body) }}' as version
from counted
