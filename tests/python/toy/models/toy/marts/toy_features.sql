with request as (
    select * from {{ ref('toy_clean') }}
),

features as (
    select
        request.parcel_id,
        request.sent_on,
        request.asked_at,
        request.split,
        request.sample_bucket,
        {{ great_circle_km('0e0', '0e0', '0e0', 'depots.distance_km / 111.19508e0') }} as distance_km,
        cast(request.weight_g as double) / 1000e0 as weight_kg,
        request.is_priority,
        sin({{ day_angle('request.sent_at') }}) as sent_time_sin,
        carriers.late_share as carrier_late_share,
        request.carrier,
        request.is_late
    from request
    left join {{ ref('toy_depots') }} as depots on request.depot = depots.depot
    left join {{ ref('toy_carrier_history') }} as carriers on request.carrier = carriers.carrier
)

select * from features
