with source as (
    select * from {{ source('flights_raw', 'airlines') }}
),

renamed as (
    select
        {{ text_or_null('carrier') }} as carrier,
        {{ text_or_null('name') }} as carrier_name
    from source
)

select * from renamed
