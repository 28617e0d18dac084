{#-
  A group's mean pulled towards the overall mean by a prior worth `prior_count` rows. Both come as sums of integers and
  counts, so that the result has the same bits on any number of threads.
-#}
{%- macro shrunk_mean(group_sum, group_count, overall_sum, overall_count, prior_count) -%}
  (
    cast({{ group_sum }} as double)
    + {{ prior_count }}e0 * cast({{ overall_sum }} as double) / nullif(cast({{ overall_count }} as double), 0e0)
  ) / (cast({{ group_count }} as double) + {{ prior_count }}e0)
{%- endmacro -%}
