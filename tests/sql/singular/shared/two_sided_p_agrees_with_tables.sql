-- Critical values of Student's t as printed tables give them; to within a hundredth of the level.
with cases as (
    select printed.t, printed.degrees, printed.expected from (
        values
        (0e0, 20e0, 1e0), (2.086e0, 20e0, 0.05e0), (2.845e0, 20e0, 0.01e0), (-2.845e0, 20e0, 0.01e0), (3.850e0, 20e0, 0.001e0),
        (2.009e0, 50e0, 0.05e0), (3.496e0, 50e0, 0.001e0), (1.972e0, 200e0, 0.05e0), (3.340e0, 200e0, 0.001e0)
    ) as printed (t, degrees, expected)
),

computed as (
    select t, degrees, expected, {{ two_sided_p('t', 'degrees') }} as actual from cases
)

select * from computed where not (abs(actual - expected) <= 0.01e0 * expected)
