{#-
  The low 63 bits of the first 8 bytes, little-endian, of md5(salt || ':' || text): a bigint that is not negative. Its low 20
  bits are hash_bucket's. Of 53 million texts two share one with a chance of 1 in 6,500.
-#}
{%- macro hash_63(salt, text) -%}{{ return(adapter.dispatch('hash_63', 'skewless')(salt, text)) }}{%- endmacro -%}

{%- macro default__hash_63(salt, text) -%}
  {{ exceptions.raise_compiler_error("hash_63 is not written for " ~ target.type) }}
{%- endmacro -%}

{%- macro duckdb__hash_63(salt, text) -%}
  cast(md5_number('{{ salt }}:' || {{ text }}) & 9223372036854775807 as bigint)
{%- endmacro -%}

{%- macro athena__hash_63(salt, text) -%}
  bitwise_and(from_big_endian_64(reverse(substr(md5(to_utf8('{{ salt }}:' || {{ text }})), 1, 8))), 9223372036854775807)
{%- endmacro -%}
