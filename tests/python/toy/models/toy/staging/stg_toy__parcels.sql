with source as (
    select * from {{ source('toy_raw', 'parcels') }}
),

renamed as (
    select
        {{ hash_key(['parcel']) }} as parcel_id,
        {{ timestamp_from_text(text_or_null('sent_at')) }} as sent_at,
        {{ text_or_null('depot') }} as depot,
        {{ text_or_null('carrier') }} as carrier,
        {{ to_integer(text_or_null('weight_g')) }} as weight_g,
        {{ text_or_null('priority') }} = 'yes' as is_priority,
        {{ text_or_null('is_late') }} = 'yes' as is_late,
        raw_file,
        raw_row,
        raw_load_id
    from source
)

select * from renamed
