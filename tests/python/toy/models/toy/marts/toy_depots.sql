select depot, distance_km from {{ ref('stg_toy__depots') }}
