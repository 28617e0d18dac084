-- Both sides of each change of clocks: 2013 begins on 10 March and ends on 3 November, 2015 on 8 March and 1 November.
with cases as (
    select law.moment_text, law.expected from (
        values
        ('2013-01-15 12:00', false), ('2013-03-09 23:59', false), ('2013-03-10 01:59', false), ('2013-03-10 02:00', true),
        ('2013-03-17 00:30', true), ('2013-04-01 00:00', true), ('2013-07-04 12:00', true), ('2013-10-31 23:59', true),
        ('2013-11-02 12:00', true), ('2013-11-03 01:59', true), ('2013-11-03 02:00', false), ('2013-11-10 00:30', false),
        ('2013-12-31 23:59', false), ('2015-03-01 12:00', false), ('2015-03-08 01:00', false), ('2015-03-08 03:00', true),
        ('2015-11-01 01:00', true), ('2015-11-01 02:00', false)
    ) as law (moment_text, expected)
),

computed as (
    select moment_text, expected, {{ timestamp_from_text('moment_text') }} as moment from cases
)

select moment_text, expected from computed where expected <> coalesce({{ is_daylight_saving('moment') }}, not expected)
