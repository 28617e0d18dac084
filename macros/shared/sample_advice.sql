{#-
  How many rows are enough to know the means of a feature table. For each numerical column and each nested sample of the train
  split with at least 1,024 rows: the standard error of the mean between groups (the ratio estimator of split_audit), and what
  doubling the sample takes off it, in standard deviations of the column. Beyond `advised_rows`, the smallest sample from
  which on doubling buys less than `gain`, more rows are for the tails, not for the means; null where the table is smaller.
-#}
{%- macro sample_advice(features, sums, gain) -%}
{%- set columns = audited_columns(features) -%}
with bounds as (
    {%- for level in range(21) %}
    select {{ level }} as bound{% if not loop.last %} union all{% endif %}
    {%- endfor %}
),

groups as (
    select
        bounds.bound,
        sums.group_name
        {%- for column in columns %},
        sum(sums.{{ column.name }}_sum) as {{ column.name }}_sum,
        sum(sums.{{ column.name }}_count) as {{ column.name }}_count,
        sum(sums.{{ column.name }}_squares) as {{ column.name }}_squares
        {%- endfor %}
    from bounds
    inner join {{ ref(sums) }} as sums on sums.level <= bounds.bound
    where sums.split = 'train'
    group by bounds.bound, sums.group_name
),

long as (
    {%- for column in columns %}
    select
        bound, '{{ column.name }}' as column_name, {{ column.name }}_sum as group_sum, {{ column.name }}_count as group_count,
        {{ column.name }}_squares as group_squares
    from groups
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select bound, group_name as column_name, 0e0 as group_sum, 0e0 as group_count, 0e0 as group_squares from groups where false
    {%- endfor %}
),

means as (
    select
        bound,
        column_name,
        cast(count(*) as double) as group_total,
        sum(group_count) as row_total,
        sum(group_sum) / nullif(sum(group_count), 0e0) as sample_mean,
        {{ spread_of_sums('sum(group_sum)', 'sum(group_count)', 'sum(group_squares)') }} as spread
    from long
    group by bound, column_name
),

errors as (
    select
        means.bound,
        means.column_name,
        means.row_total,
        means.spread,
        means.sample_mean,
        sqrt(
            means.group_total / nullif(means.group_total - 1e0, 0e0)
            * sum(power(long.group_sum - means.sample_mean * long.group_count, 2e0)) / nullif(power(means.row_total, 2e0), 0e0)
        ) as standard_error
    from means
    inner join long on means.bound = long.bound and means.column_name = long.column_name
    group by means.bound, means.column_name, means.row_total, means.spread, means.sample_mean, means.group_total
),

doubled as (
    select
        column_name,
        row_total,
        sample_mean,
        standard_error,
        standard_error / nullif(spread, 0e0) as relative_error,
        (standard_error - lead(standard_error) over (partition by column_name order by bound)) / nullif(spread, 0e0) as doubling_gain
    from errors
    where row_total >= 1024e0
),

-- The last sample from which doubling still bought the gain; the next one is enough.
needed as (
    select column_name, max(row_total) as last_rows from doubled where doubling_gain >= {{ gain }} group by column_name
),

advised as (
    select doubled.column_name, min(doubled.row_total) as advised_rows
    from doubled
    left join needed on doubled.column_name = needed.column_name
    where doubled.doubling_gain is not null and doubled.row_total > coalesce(needed.last_rows, 0e0)
    group by doubled.column_name
)

select
    cast(doubled.column_name as varchar) as column_name,
    cast(doubled.row_total as bigint) as sample_rows,
    doubled.sample_mean,
    doubled.standard_error,
    doubled.relative_error,
    doubled.doubling_gain,
    cast(advised.advised_rows as bigint) as advised_rows,
    cast({{ gain }} as double) as stated_gain
from doubled
left join advised on doubled.column_name = advised.column_name
{%- endmacro -%}
