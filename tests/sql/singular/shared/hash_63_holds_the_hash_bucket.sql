-- The low bits of the long hash are the short one, so that a sample by either is the same sample; and it is never negative.
with texts as (
    select 'JFK|B6|2013-01-01' as key_text
    union all
    select '' as key_text
    union all
    select 'Zürich 漢字 <null>' as key_text
),

hashed as (
    select
        key_text,
        {{ hash_63('golden', 'key_text') }} as long_hash,
        {{ low_bits(hash_63('golden', 'key_text')) }} as low_bits,
        {{ hash_bucket('golden', 'key_text') }} as bucket
    from texts
)

select * from hashed where low_bits <> bucket or long_hash < 0
