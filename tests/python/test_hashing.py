"""The one hash: the same integer in SQL and Python, fair shares, nested samples, content hashes that see any change."""

import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml import hashing

GOLDEN = {"JFK|B6|2013-01-01": 536481, "": 469719, "Zürich 漢字 <null>": 216369}
SQL_TEST = Path(__file__).parents[1] / "sql/singular/shared/hash_bucket_is_golden.sql"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("text", "expected"), GOLDEN.items())
def test_golden_texts_keep_their_buckets(text, expected):
    assert hashing.hash_bucket("golden", text) == expected


def test_the_sql_test_holds_the_same_golden_values():
    sql = SQL_TEST.read_text()
    assert {text: int(bucket) for text, bucket in re.findall(r"select '([^']*)'(?: as key_text)?, (\d+)", sql)} == GOLDEN
    assert set(re.findall(r"hash_bucket\('(\w+)'", sql)) == {"golden"}


@settings(max_examples=examples(30))
@given(salt=TEXT, texts=st.lists(TEXT, min_size=1, max_size=50))
def test_duckdb_and_python_give_any_text_the_same_bucket(salt, texts):
    with duckdb.connect() as connection:
        found = connection.execute(
            "select cast(md5_number($salt || ':' || key_text) & 1048575 as integer) from unnest($texts) as given (key_text)",
            {"salt": salt, "texts": texts},
        ).fetchall()
    assert [bucket for (bucket,) in found] == [hashing.hash_bucket(salt, text) for text in texts]


@given(salt=TEXT, text=TEXT)
def test_every_bucket_is_below_the_number_of_buckets(salt, text):
    assert 0 <= hashing.hash_bucket(salt, text) < hashing.BUCKETS == 1048576


@pytest.mark.parametrize("percent", [0.1, 1, 10, 50, 80, 90])
def test_a_sample_has_about_the_share_that_was_asked_for(percent):
    keys = [f"N{number}|2013-{number % 12 + 1:02d}" for number in range(50_000)]
    taken = sum(hashing.hash_bucket("skewless-sample", key) < hashing.BUCKETS * percent / 100 for key in keys)
    expected = len(keys) * percent / 100
    assert abs(taken - expected) < 5 * (expected * (1 - percent / 100)) ** 0.5


def test_buckets_of_neighbouring_keys_fill_the_whole_range_evenly():
    counts = [0] * 16
    for number in range(16_000):
        counts[hashing.hash_bucket("salt", str(number)) * 16 // hashing.BUCKETS] += 1
    chi_squared = sum((count - 1000) ** 2 / 1000 for count in counts)
    assert chi_squared < 44  # 15 degrees of freedom: one fair hash in ten thousand


@given(keys=st.sets(TEXT, max_size=30), bounds=st.tuples(*[st.integers(0, hashing.BUCKETS)] * 2))
def test_the_smaller_sample_is_part_of_the_larger(keys, bounds):
    small, large = ({key for key in keys if hashing.hash_bucket("s", key) < bound} for bound in sorted(bounds))
    assert small <= large


def test_another_salt_draws_independently_of_the_first():
    keys = [str(number) for number in range(20_000)]
    half = hashing.BUCKETS // 2
    both = sum(hashing.hash_bucket("split", key) < half and hashing.hash_bucket("sample", key) < half for key in keys)
    assert abs(both - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(("salt", "text"), [("ab", "c"), ("", "abc"), ("abc", "")])
def test_the_salt_is_kept_apart_from_the_text(salt, text):
    assert hashing.hash_bucket(salt, text) != hashing.hash_bucket("a", "bc")


@given(value=st.dictionaries(TEXT, JSON, min_size=2, max_size=5))
def test_the_order_of_names_does_not_change_a_json_hash(value):
    turned = dict(reversed(value.items()))
    assert list(turned) != list(value) and hashing.hash_json(turned) == hashing.hash_json(value)


@given(value=st.lists(JSON, max_size=4), more=JSON)
def test_anything_more_changes_a_json_hash(value, more):
    assert len({hashing.hash_json(value), hashing.hash_json([*value, more]), hashing.hash_json({"v": value})}) == 3


def test_a_tree_is_hashed_file_by_file_in_the_order_of_the_paths(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "inner.txt").write_bytes(b"")
    (tmp_path / "z.txt").write_bytes(b"abc")
    before = hashing.hash_tree(tmp_path)
    assert list(before) == ["b/inner.txt", "z.txt"]
    assert before["z.txt"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, example B.1
    (tmp_path / "b" / "inner.txt").write_bytes(b"\0")
    changed = hashing.hash_tree(tmp_path)
    assert changed["z.txt"] == before["z.txt"] and changed["b/inner.txt"] != before["b/inner.txt"]
