{#-
  A fitted lookup over int_taxi_metered: for each city and combination of `keys` (a dictionary, name: expression) fares by
  metered dollars, `<name>_ratio`, and dollars above the meter, `<name>_excess_usd`, both pulled towards the city's own by a
  prior worth `prior` trips of ten dollars. Combinations with fewer than `least` trips have none: their numbers would say who
  they are rather than what trips there cost, and a network would learn its own rows by heart.
-#}
{%- macro taxi_history(name, keys, prior, least) -%}
with trips as (
    select
        city,
        {%- for key, expression in keys.items() %}
        {{ expression if expression == key else expression ~ ' as ' ~ key }},
        {%- endfor %}
        fare_cents,
        metered_cents,
        row_count
    from {{ ref('int_taxi_metered') }}
),

cities as (
    select
        city,
        cast(sum(fare_cents) as bigint) as fare_cents,
        cast(sum(metered_cents) as bigint) as metered_cents,
        cast(sum(row_count) as bigint) as row_count
    from trips
    group by city
),

places as (
    select
        city,
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        cast(sum(fare_cents) as bigint) as fare_cents,
        cast(sum(metered_cents) as bigint) as metered_cents,
        cast(sum(row_count) as bigint) as row_count
    from trips
    group by city, {{ keys.keys() | join(', ') }}
)

select
    cast(places.city as varchar) as city,
    {%- for key in keys %}
    cast(places.{{ key }} as integer) as {{ key }},
    {%- endfor %}
    {{ shrunk_mean('places.fare_cents', 'places.metered_cents', 'cities.fare_cents', 'cities.metered_cents', prior * 1000) }} as {{ name }}_ratio,
    {{ shrunk_mean('(places.fare_cents - places.metered_cents)', 'places.row_count', '(cities.fare_cents - cities.metered_cents)', 'cities.row_count', prior) }} / 1e2 as {{ name }}_excess_usd,
    places.row_count
from places
inner join cities on places.city = cities.city
where places.row_count >= {{ least }}
{%- endmacro -%}
