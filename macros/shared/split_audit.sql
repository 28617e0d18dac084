{#-
  Whether a hashed split is a fair sample: one row for each numerical feature (and the target) and each held-back split: its mean
  with train's, their difference in standard deviations, and a p-value that counts groups, not rows.

  Rows of a group are alike (rows of a day share its conditions), so the variance is that between groups: with the group's
  sum s and count n, the mean is r = sum s / sum n and its variance G / (G - 1) * sum (s - r n)^2 / (sum n)^2 (Cochran,
  Sampling Techniques, ratio estimator); t has the smaller G - 1 degrees of freedom. Levels are corrected over all
  comparisons (Bonferroni). With fewer than 15 groups there is no verdict: the approximation is not good enough for the far tail
  that the correction needs. `out_of_time` is not read. `sums` is the model that feature_sums makes of the feature table; sums of
  doubles may differ in their last bits, and nothing is fitted on them.
-#}
{%- macro split_audit(features, sums, level=0.05) -%}
{%- set columns = audited_columns(features) -%}
with groups as (
    select
        split,
        group_name
        {%- for column in columns %},
        sum({{ column.name }}_sum) as {{ column.name }}_sum,
        sum({{ column.name }}_count) as {{ column.name }}_count,
        sum({{ column.name }}_squares) as {{ column.name }}_squares
        {%- endfor %}
    from {{ ref(sums) }}
    where split <> 'out_of_time'
    group by split, group_name
),

spreads as (
    select
        count(*) as group_count
        {%- for column in columns %},
        {{ spread_of_sums('sum(' ~ column.name ~ '_sum)', 'sum(' ~ column.name ~ '_count)', 'sum(' ~ column.name ~ '_squares)') }} as {{ column.name }}
        {%- endfor %}
    from groups
),

long as (
    {%- for column in columns %}
    select
        groups.split, '{{ column.name }}' as column_name, groups.{{ column.name }}_sum as group_sum,
        groups.{{ column.name }}_count as group_count, spreads.{{ column.name }} as spread
    from groups cross join spreads
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select split, group_name as column_name, 0e0 as group_sum, 0e0 as group_count, 0e0 as spread from groups where false
    {%- endfor %}
),

means as (
    select
        split, column_name, max(spread) as spread, cast(count(*) as double) as group_total, sum(group_count) as row_total,
        sum(group_sum) / nullif(sum(group_count), 0e0) as split_mean
    from long
    group by split, column_name
),

variances as (
    select
        means.split, means.column_name, means.spread, means.group_total, means.row_total, means.split_mean,
        means.group_total / nullif(means.group_total - 1e0, 0e0)
        * sum(power(long.group_sum - means.split_mean * long.group_count, 2e0)) / nullif(power(means.row_total, 2e0), 0e0) as variance
    from means
    inner join long on means.split = long.split and means.column_name = long.column_name
    group by means.split, means.column_name, means.spread, means.group_total, means.row_total, means.split_mean
),

compared as (
    select
        held.column_name, held.split, held.group_total, held.row_total, train.split_mean as train_mean, held.split_mean,
        (held.split_mean - train.split_mean) / nullif(held.spread, 0e0) as effect_size,
        (held.split_mean - train.split_mean) / nullif(sqrt(held.variance + train.variance), 0e0) as t,
        case when held.group_total < train.group_total then held.group_total else train.group_total end - 1e0 as degrees
    from variances as held
    inner join variances as train on held.column_name = train.column_name and train.split = 'train'
    where held.split <> 'train'
),

judged as (
    select *, case when degrees > 0e0 then {{ two_sided_p('t', 'degrees') }} end as p_value, cast({{ level }} as double) / cast(count(*) over () as double) as corrected_level
    from compared
)

select
    cast(column_name as varchar) as column_name,
    cast(split as varchar) as split,
    cast(row_total as bigint) as row_count,
    cast(group_total as bigint) as group_count,
    train_mean,
    split_mean,
    effect_size,
    t as t_statistic,
    p_value,
    corrected_level,
    -- A constant differs from itself by rounding alone, and has no spread to measure that by.
    coalesce(p_value >= corrected_level or degrees < 14e0 or abs(split_mean - train_mean) <= 1e-9 * abs(train_mean), true) as is_fair
from judged
{%- endmacro -%}
