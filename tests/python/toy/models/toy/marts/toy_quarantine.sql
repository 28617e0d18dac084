select
    parcel_id,
    {{ broken_rules('int_parcels_checked') }} as broken_rules,
    raw_file,
    raw_row,
    raw_load_id
from {{ ref('int_parcels_checked') }}
where not is_duplicate and not {{ is_kept('int_parcels_checked') }}
