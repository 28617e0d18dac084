with source as (
    select * from {{ source('toy_raw', 'depots') }}
),

renamed as (
    select
        {{ text_or_null('depot') }} as depot,
        {{ to_double(text_or_null('distance_km')) }} as distance_km
    from source
)

select * from renamed
