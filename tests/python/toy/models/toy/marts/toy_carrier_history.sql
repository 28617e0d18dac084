with sent as (
    select carrier, case when is_late then 1 else 0 end as late_count
    from {{ ref('toy_clean') }}
    where split = 'train' and carrier is not null
),

overall as (
    select cast(sum(late_count) as bigint) as late_sum, count(*) as row_count from sent
),

by_carrier as (
    select carrier, cast(sum(late_count) as bigint) as late_sum, count(*) as row_count from sent group by carrier
)

select
    by_carrier.carrier,
    {{ shrunk_mean('by_carrier.late_sum', 'by_carrier.row_count', 'overall.late_sum', 'overall.row_count', 20) }} as late_share
from by_carrier
cross join overall
