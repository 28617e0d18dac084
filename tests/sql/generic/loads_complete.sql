{# On an incremental table by load: the loads, and the rows of each, are those of its staging. A row for each that differs. #}
{% test loads_complete(model, staging) %}
with staged as (select raw_load_id, count(*) as row_count from {{ staging }} group by raw_load_id),

taken as (select raw_load_id, count(*) as row_count from {{ model }} group by raw_load_id)

select
    coalesce(staged.raw_load_id, taken.raw_load_id) as raw_load_id,
    staged.row_count as staged_count,
    taken.row_count as taken_count
from staged
full outer join taken on staged.raw_load_id = taken.raw_load_id
where coalesce(staged.row_count, 0) <> coalesce(taken.row_count, 0)
{% endtest %}
