{#- A nested sample of entities: bucket < 1049 is 0.1 %, a part of bucket < 10486, 1 %, and so on. -#}
{%- macro sample_bucket(key_text) -%}{{ hash_bucket(var('sample_salt'), key_text) }}{%- endmacro -%}
