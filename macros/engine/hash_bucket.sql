{#-
  The low 20 bits of the first 8 bytes, little-endian, of md5(salt || ':' || text): an integer in [0, 1048576),
  the same in DuckDB, Athena and ml/hashing.py. `text` must be source text or an ISO date, never a formatted number.
-#}
{%- macro hash_bucket(salt, text) -%}{{ return(adapter.dispatch('hash_bucket', 'skewless')(salt, text)) }}{%- endmacro -%}

{%- macro default__hash_bucket(salt, text) -%}
  {{ exceptions.raise_compiler_error("hash_bucket is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__hash_bucket(salt, text) -%}
  cast(md5_number('{{ salt }}:' || {{ text }}) & 1048575 as integer)
{%- endmacro -%}

{%- macro athena__hash_bucket(salt, text) -%}
  cast(bitwise_and(from_big_endian_64(reverse(substr(md5(to_utf8('{{ salt }}:' || {{ text }})), 1, 8))), 1048575) as integer)
{%- endmacro -%}
