-- The same three texts and integers are in tests/python/test_hashing.py: SQL and Python must agree.
with golden as (
    select 'JFK|B6|2013-01-01' as key_text, 536481 as expected
    union all
    select '' as key_text, 469719 as expected
    union all
    select 'Zürich 漢字 <null>' as key_text, 216369 as expected
)

select key_text, expected, {{ hash_bucket('golden', 'key_text') }} as actual
from golden
where {{ hash_bucket('golden', 'key_text') }} <> expected
