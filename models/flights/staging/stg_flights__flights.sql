with source as (
    select * from {{ source('flights_raw', 'flights') }}
),

typed as (
    select
        *,
        {{ hash_key(['year', 'month', 'day', 'carrier', 'flight', 'origin', 'sched_dep_time']) }} as flight_id,
        year || '-' || lpad(month, 2, '0') || '-' || lpad(day, 2, '0') as flight_date,
        {{ clock_minutes('sched_dep_time') }} as scheduled_departure_clock,
        {{ clock_minutes('sched_arr_time') }} as scheduled_arrival_clock,
        {{ clock_minutes('dep_time') }} as departure_clock,
        {{ clock_minutes('arr_time') }} as arrival_clock
    from source
),

renamed as (
    select
        flight_id,
        flight_date,
        {{ timestamp_from_text("flight_date || ' 00:00'") }} as flight_midnight_at,
        scheduled_departure_clock,
        scheduled_arrival_clock,
        departure_clock,
        arrival_clock,
        {{ to_integer('dep_delay') }} as departure_delay_minutes,
        {{ to_integer('arr_delay') }} as arr_delay_minutes,
        {{ to_integer('air_time') }} as air_time_minutes,
        {{ text_or_null('carrier') }} as carrier,
        {{ text_or_null('tailnum') }} as tail_number,
        {{ text_or_null('origin') }} as origin,
        {{ text_or_null('dest') }} as destination,
        {{ to_double('distance') }} as distance_miles,
        {{ text_or_null('time_hour') }} as scheduled_hour_utc,
        raw_file,
        raw_row,
        raw_load_id
    from typed
)

select * from renamed
