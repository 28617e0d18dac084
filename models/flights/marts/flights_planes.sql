select tail_number, manufactured_year, seats from {{ ref('stg_flights__planes') }}
