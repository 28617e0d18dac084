select
    parcel_id,
    {{ iso_date('sent_at') }} as sent_on,
    sent_at as asked_at,
    {{ split_of('toy', iso_date('sent_at'), iso_date('sent_at')) }} as split,
    {{ sample_bucket('parcel_id') }} as sample_bucket,
    sent_at,
    depot,
    carrier,
    weight_g,
    is_priority,
    is_late,
    raw_load_id
from {{ ref('int_parcels_checked') }}
where not is_duplicate and {{ is_kept('int_parcels_checked') }}
