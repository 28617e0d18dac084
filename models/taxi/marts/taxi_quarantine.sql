select
    raw_load_id || '-' || cast(raw_row as varchar) as trip_id,
    {{ broken_rules('int_taxi_checked') }} as broken_rules,
    raw_file,
    raw_row,
    raw_load_id
from {{ ref('int_taxi_checked') }}
where not is_duplicate and not {{ is_kept('int_taxi_checked') }}
