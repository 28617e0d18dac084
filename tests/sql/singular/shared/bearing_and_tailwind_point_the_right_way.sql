-- Courses between points whose direction can be checked on a globe, and a wind of 10 from each side.
with cases as (
    select globe.latitude_1, globe.longitude_1, globe.latitude_2, globe.longitude_2, globe.expected_degrees from (
        values
        (0e0, 0e0, 1e0, 0e0, 0e0), (0e0, 0e0, 0e0, 1e0, 90e0), (1e0, 0e0, 0e0, 0e0, 180e0), (0e0, 1e0, 0e0, 0e0, -90e0),
        (40e0, 10e0, 40e0, -170e0, 0e0)  -- the shortest way to the far side of the world leads over the pole
    ) as globe (latitude_1, longitude_1, latitude_2, longitude_2, expected_degrees)
),

computed as (
    select
        expected_degrees,
        {{ bearing('latitude_1', 'longitude_1', 'latitude_2', 'longitude_2') }} as course
    from cases
),

winds as (
    select
        expected_degrees,
        course,
        {{ tailwind('10e0', '(expected_degrees + 180e0)', 'course') }} as from_behind,
        {{ tailwind('10e0', 'expected_degrees', 'course') }} as from_ahead,
        {{ tailwind('10e0', '(expected_degrees + 90e0)', 'course') }} as from_the_side
    from computed
)

select * from winds
where
    abs(sin(course) - sin(radians(expected_degrees))) > 1e-9 or abs(cos(course) - cos(radians(expected_degrees))) > 1e-9
    or abs(from_behind - 10e0) > 1e-9 or abs(from_ahead + 10e0) > 1e-9 or abs(from_the_side) > 1e-9
