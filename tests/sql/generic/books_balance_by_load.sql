{#
  On the counts of a checked model by load: every raw row is in exactly one of kept, quarantined or duplicates, and the clean
  relation has the kept ones. As books_balance, without another scan of the rows. A row for each load that does not balance.
#}
{% test books_balance_by_load(model, raw, clean) %}
with raw_rows as (select raw_load_id, count(*) as row_count from {{ raw }} group by raw_load_id),

clean_rows as (select raw_load_id, count(*) as row_count from {{ clean }} group by raw_load_id)

select
    raw_rows.raw_load_id,
    raw_rows.row_count as raw_count,
    coalesce(clean_rows.row_count, 0) as clean_count,
    counts.quarantined_count,
    counts.ok_duplicate as duplicate_count
from raw_rows
left join {{ model }} as counts on raw_rows.raw_load_id = counts.raw_load_id
left join clean_rows on raw_rows.raw_load_id = clean_rows.raw_load_id
where coalesce(counts.row_count, 0) <> raw_rows.row_count
    or coalesce(clean_rows.row_count, 0) + counts.quarantined_count + counts.ok_duplicate <> raw_rows.row_count
{% endtest %}
