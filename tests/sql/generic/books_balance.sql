{#
  On the checked model: every raw row of every load is in exactly one of clean, quarantine or duplicates.
  A row is returned for each load whose books do not balance.
#}
{% test books_balance(model, raw, clean, quarantine) %}
with raw_rows as (select raw_load_id, count(*) as row_count from {{ raw }} group by raw_load_id),

duplicates as (select raw_load_id, count(*) as row_count from {{ model }} where is_duplicate group by raw_load_id),

kept as (select raw_load_id, count(*) as row_count from {{ clean }} group by raw_load_id),

quarantined as (select raw_load_id, count(*) as row_count from {{ quarantine }} group by raw_load_id)

select
    raw_rows.raw_load_id,
    raw_rows.row_count as raw_count,
    coalesce(kept.row_count, 0) as clean_count,
    coalesce(quarantined.row_count, 0) as quarantine_count,
    coalesce(duplicates.row_count, 0) as duplicate_count
from raw_rows
left join kept on raw_rows.raw_load_id = kept.raw_load_id
left join quarantined on raw_rows.raw_load_id = quarantined.raw_load_id
left join duplicates on raw_rows.raw_load_id = duplicates.raw_load_id
where raw_rows.row_count
    <> coalesce(kept.row_count, 0) + coalesce(quarantined.row_count, 0) + coalesce(duplicates.row_count, 0)
{% endtest %}
