with trips as (
    select raw_load_id, max(version) as version from {{ ref('int_taxi_trips') }} group by raw_load_id
),

rules as (
    -- The same in every row; where there is none, there are no loads either.
    select max(rules_version) as rules_version from {{ ref('int_taxi_checked') }}
),

loads as (
    select trips.raw_load_id, trips.version, rules.rules_version from trips cross join rules
),

duplicates as (
    select raw_load_id, count(*) as row_count, cast(sum(trip_hash % 1000003 + raw_row) as bigint) as fingerprint
    from {{ ref('int_taxi_duplicates') }}
    group by raw_load_id
),

kilometres as (
    select count(*) as provider_count, cast(coalesce(sum({{ hash_bucket('units', 'provider_key') }}), 0) as bigint) as fingerprint
    from {{ ref('int_taxi_provider_units') }}
    where is_kilometres
)

select
    loads.raw_load_id,
    loads.version || loads.rules_version
    || '-' || cast(coalesce(duplicates.row_count, 0) as varchar) || '-' || cast(coalesce(duplicates.fingerprint, 0) as varchar)
    || '-' || cast(kilometres.provider_count as varchar) || '-' || cast(kilometres.fingerprint as varchar) || '-' as version
from loads
left join duplicates on loads.raw_load_id = duplicates.raw_load_id
cross join kilometres
