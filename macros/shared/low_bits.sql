{#- The low 20 bits of a bigint that is not negative, as an integer: of a hash_63, the hash_bucket. -#}
{%- macro low_bits(value) -%}cast({{ value }} % 1048576 as integer){%- endmacro -%}
