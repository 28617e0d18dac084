with parcels as (
    select
        *,
        row_number() over (partition by parcel_id order by raw_load_id, raw_row) > 1 as is_duplicate
    from {{ ref('stg_toy__parcels') }}
),

checked as (
    select
        *,
        sent_at is not null as ok_sent_at,
        coalesce(weight_g between 1 and 30000, true) as ok_weight,
        coalesce(depot <> 'Z', true) as ok_depot_open,
        is_late is not null as ok_delivered
    from parcels
)

select * from checked
