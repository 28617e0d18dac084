-- Minutes after midnight of what sources write for a time of day; whatever is not a time is null, not a number.
with cases as (
    select written.clock, written.expected from (values ('517', 317), ('0', 0), ('5', 5), ('59', 59), ('100', 60), ('2359', 1439), ('2400', 1440)) as written (clock, expected)
    union all
    select broken.clock, broken.expected from (values ('60', null), ('2401', null), ('2360', null), ('-5', null), ('5:17', null), ('', null), ('NA', null)) as broken (clock, expected)
),

computed as (
    select clock, expected, {{ clock_minutes('clock') }} as actual from cases
)

select clock, expected, actual from computed where coalesce(expected, -1) <> coalesce(actual, -1)
