with request as (
    select
        *,
        {%- for end in ['pickup', 'dropoff'] %}{% for axis in ['latitude', 'longitude'] %}
        city || ':{{ axis }}' as {{ end }}_{{ axis }}_axis,
        {{ taxi_cell(end, axis) }} as {{ end }}_{{ axis }}_cell,
        {%- endfor %}{% endfor %}
        {{ taxi_street_km('along') }} as along_km,
        {{ taxi_street_km('across') }} as across_km,
        {{ great_circle_km('pickup_latitude', 'pickup_longitude', 'dropoff_latitude', 'dropoff_longitude') }} as great_circle_km,
        {{ bearing('pickup_latitude', 'pickup_longitude', 'dropoff_latitude', 'dropoff_longitude') }} as course,
        {{ hour_of_week('pickup_at') }} as hour_of_week,
        hour(pickup_at) as hour_of_day,
        {{ taxi_airport('pickup_latitude', 'pickup_longitude') }} as pickup_airport,
        {{ taxi_airport('dropoff_latitude', 'dropoff_longitude') }} as dropoff_airport,
        {{ taxi_tariff_value('mile_usd') }} as tariff_mile_usd
    from {{ ref('taxi_clean') }}
),

measured as (
    select
        *,
        along_km + across_km as grid_km,
        {{ taxi_metered_usd('(along_km + across_km)') }} as metered_usd
    from request
),

zoned as (
    select
        measured.*,
        {{ taxi_zone('pickup') }} as pickup_zone_number,
        {{ taxi_zone('dropoff') }} as dropoff_zone_number,
        {{ taxi_zone('pickup', 6) }} as pickup_quarter,
        {{ taxi_zone('dropoff', 6) }} as dropoff_quarter,
        pickup_latitudes.bin as pickup_latitude_bin,
        pickup_longitudes.bin as pickup_longitude_bin,
        dropoff_latitudes.bin as dropoff_latitude_bin,
        dropoff_longitudes.bin as dropoff_longitude_bin
    from measured
    {{- taxi_bins_joined('measured') }}
),

joined as (
    select
        zoned.*,
        pairs.pair_ratio,
        pairs.pair_excess_usd,
        hours.hour_ratio,
        pair_hours.pair_hour_ratio,
        pair_hours.pair_hour_excess_usd
    from zoned
    left join {{ ref('taxi_pair_history') }} as pairs
        on zoned.city = pairs.city and zoned.pickup_zone_number = pairs.pickup_zone and zoned.dropoff_zone_number = pairs.dropoff_zone
    left join {{ ref('taxi_hour_history') }} as hours on zoned.city = hours.city and zoned.hour_of_week = hours.hour_of_week
    left join {{ ref('taxi_pair_hour_history') }} as pair_hours
        on zoned.city = pair_hours.city and zoned.pickup_quarter = pair_hours.pickup_quarter
        and zoned.dropoff_quarter = pair_hours.dropoff_quarter and zoned.hour_of_day = pair_hours.hour_of_day
),

features as (
    select
        trip_id,
        pickup_date,
        pickup_at,
        split,
        sample_bucket,
        tariff_mile_usd,
        {{ taxi_tariff_value('hour_usd') }} as tariff_hour_usd,
        great_circle_km,
        grid_km,
        along_km,
        across_km,
        great_circle_km / (grid_km + 1e-2) as straightness,
        sin(course) as bearing_sin,
        cos(course) as bearing_cos,
        {%- for end in ['pickup', 'dropoff'] %}
        ({{ end }}_longitude - {{ taxi_city_middle('longitude') }}) * 111.195e0 * cos(radians({{ taxi_city_middle('latitude') }})) as {{ end }}_east_km,
        ({{ end }}_latitude - {{ taxi_city_middle('latitude') }}) * 111.195e0 as {{ end }}_north_km,
        {%- endfor %}
        sin({{ day_angle('pickup_at') }}) as pickup_time_sin,
        cos({{ day_angle('pickup_at') }}) as pickup_time_cos,
        sin({{ week_angle('pickup_at') }}) as weekday_sin,
        cos({{ week_angle('pickup_at') }}) as weekday_cos,
        {{ iso_weekday('pickup_at') }} >= 6 as is_weekend,
        hour_of_day >= 20 or hour_of_day < 6 as is_night,
        {{ iso_weekday('pickup_at') }} <= 5 and hour_of_day between 16 and 19 as is_evening_rush,
        pickup_airport <> 'none' or dropoff_airport <> 'none' as is_airport_run,
        pair_ratio,
        pair_excess_usd,
        hour_ratio,
        pair_hour_ratio,
        pair_hour_excess_usd,
        metered_usd * coalesce(pair_hour_ratio, pair_ratio, hour_ratio, 1e0) as usual_fare_usd,
        city,
        pickup_airport || '>' || dropoff_airport as airport_pair,
        coalesce('row ' || cast(pickup_latitude_bin as varchar) || ' column ' || cast(pickup_longitude_bin as varchar), 'no history') as pickup_zone,
        coalesce('row ' || cast(dropoff_latitude_bin as varchar) || ' column ' || cast(dropoff_longitude_bin as varchar), 'no history') as dropoff_zone,
        cast(hour_of_day as varchar) as pickup_hour,
        fare_usd
    from joined
)

select * from features
