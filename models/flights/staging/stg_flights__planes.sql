with source as (
    select * from {{ source('flights_raw', 'planes') }}
),

renamed as (
    select
        {{ text_or_null('tailnum') }} as tail_number,
        {{ to_integer(text_or_null('year')) }} as manufactured_year,
        {{ to_integer(text_or_null('seats')) }} as seats,
        {{ text_or_null('manufacturer') }} as manufacturer
    from source
)

select * from renamed
