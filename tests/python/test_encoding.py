"""Feature columns to numbers: the train split's statistics whatever the batches, and codes that keep missing and unknown apart."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ml import encoding
from ml.contract import Column, Contract
from ml.errors import SkewlessError

COLUMNS = (
    Column("trip", "text", "key"),
    Column("tip", "double", "target"),
    Column("miles", "double", "feature", kind="numerical"),
    Column("seats", "integer", "feature", kind="numerical"),
    Column("is_evening", "boolean", "feature", kind="numerical"),
    Column("pickup", "text", "feature", kind="categorical"),
    Column("driver", "text", "feature", kind="categorical"),
)
SCHEMA = pa.schema(
    {
        "tip": pa.float64(),
        "miles": pa.float64(),
        "seats": pa.int64(),
        "is_evening": pa.bool_(),
        "pickup": pa.string(),
        "driver": pa.string(),
    }
)
NUMBER = st.floats(-1e6, 1e6, allow_subnormal=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
ROW = st.fixed_dictionaries(
    {
        "tip": NUMBER,
        "miles": st.none() | NUMBER,
        "seats": st.none() | st.integers(-1000, 1000),
        "is_evening": st.booleans(),
        "pickup": st.none() | st.sampled_from(["a", "b", ""]),
        "driver": st.none() | TEXT,
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=40)


def contract(task="regression", **changes):
    return Contract("toy", task, "toy_features", "toy_clean", COLUMNS, (), **changes)


def table(rows):
    return pa.Table.from_pylist(rows, SCHEMA)


def plain(**changes):
    return {"tip": 1.0, "miles": 1.0, "seats": 1, "is_evening": True, "pickup": "a", "driver": "d", **changes}


def fit(rows, task="regression", **changes):
    return encoding.fit(contract(task, **changes), table(rows).to_batches())


def batches(rows, cuts):
    """The rows in batches that end at the cuts; some of them are empty."""
    places = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    return [pa.RecordBatch.from_pylist(rows[start:end], SCHEMA) for start, end in pairwise(places)]


def known(rows, name):
    return np.array([row[name] for row in rows if row[name] is not None], float)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 40), max_size=6))
def test_the_fit_is_numpys_mean_and_deviation_wherever_the_batches_end(rows, cuts):
    fitted = encoding.fit(contract(), batches(rows, cuts))
    assert fitted.numerical == ("miles", "seats", "is_evening")
    for name, mean, std in [*zip(fitted.numerical, fitted.mean, fitted.std, strict=True), ("tip", fitted.target_mean, fitted.target_std)]:
        values = known(rows, name)
        scale = max(1.0, np.abs(values).max(initial=0))
        assert mean == pytest.approx(values.mean() if len(values) else 0, rel=1e-9, abs=1e-12 * scale)
        if len(values) and values.std() > 1e-8 * scale:
            assert std == pytest.approx(values.std(), rel=1e-6)


def test_the_fit_keeps_its_digits_far_from_zero():
    values = 1e9 + np.random.default_rng(7).normal(size=30_000)
    rows = pa.table({**{name: [plain()[name]] * len(values) for name in SCHEMA.names}, "miles": values}, schema=SCHEMA)
    fitted = encoding.fit(contract(), rows.to_batches(max_chunksize=999))
    assert fitted.std[0] == pytest.approx(values.std(), rel=1e-6) and fitted.mean[0] == pytest.approx(values.mean(), rel=1e-15)


def test_the_same_batches_give_the_same_bits():
    rng = np.random.default_rng(7)
    rows = [plain(miles=float(miles), tip=float(tip)) for miles, tip in rng.lognormal(size=(5000, 2))]
    assert len({encoding.to_json(encoding.fit(contract(), table(rows).to_batches(max_chunksize=77))) for _ in range(5)}) == 1


@given(rows=ROWS)
def test_encoded_train_rows_are_the_standardised_values_with_zero_for_the_missing(rows):
    fitted = fit(rows)
    numerical, _ = encoding.encode(fitted, table(rows))
    assert numerical.dtype == np.float32 and numerical.shape == (len(rows), fitted.width)
    for place, name in enumerate(fitted.numerical):
        values = np.array([np.nan if row[name] is None else row[name] for row in rows], float)
        spread = fitted.std[place] or np.inf  # a constant says nothing
        expected = np.nan_to_num((values - fitted.mean[place]) / spread, nan=0.0)
        np.testing.assert_allclose(numerical[:, place], expected, rtol=1e-6, atol=1e-6)


@given(train=ROWS, later=ROWS)
def test_a_missing_number_has_an_indicator_only_where_train_missed_some(train, later):
    fitted = fit(train)
    assert fitted.indicators == tuple(name for name in fitted.numerical if any(row[name] is None for row in train))
    numerical, _ = encoding.encode(fitted, table(later))
    expected = np.array([[row[name] is None for name in fitted.indicators] for row in later], float)
    np.testing.assert_array_equal(numerical[:, len(fitted.numerical) :], expected.reshape(len(later), len(fitted.indicators)))
    assert fitted.width == numerical.shape[1] == len(fitted.numerical) + len(fitted.indicators)


def test_not_a_number_counts_as_missing():
    fitted = fit([plain(miles=float("nan")), plain(miles=2.0)])
    assert fitted.indicators == ("miles",) and fitted.mean[0] == 2.0
    np.testing.assert_array_equal(encoding.encode(fitted, table([plain(miles=float("nan"))]))[0], [[0, 0, 0, 1]])


@given(train=ROWS, later=ROWS)
def test_missing_is_0_unknown_is_1_and_every_known_category_has_a_code_of_its_own_from_2_on(train, later):
    fitted = fit(train)
    assert tuple(fitted.vocabularies) == ("pickup", "driver")
    _, codes = encoding.encode(fitted, table(later))
    assert codes.dtype == np.int64 and codes.shape == (len(later), 2)
    for place, name in enumerate(fitted.vocabularies):
        seen = sorted({row[name] for row in train} - {None})
        assert fitted.vocabularies[name] == tuple(seen) and fitted.cardinalities[place] == 2 + len(seen)
        expected = [0 if row[name] is None else 2 + seen.index(row[name]) if row[name] in seen else 1 for row in later]
        assert codes[:, place].tolist() == expected


@given(value=st.floats(-1e9, 1e9, allow_subnormal=False), count=st.integers(1, 3000), size=st.integers(1, 1000))
@example(value=123456.789, count=1000, size=1000)
def test_of_a_constant_column_nothing_is_learned_whatever_comes_later(value, count, size):
    rows = pa.table({name: [value if name in ("miles", "tip") else plain()[name]] * count for name in SCHEMA.names}, schema=SCHEMA)
    fitted = encoding.fit(contract(), rows.to_batches(max_chunksize=size))
    assert fitted.std[0] == 0.0 and fitted.target_std == 1.0
    later = rows.set_column(rows.schema.get_field_index("miles"), "miles", pa.array([value + 5.0] * count))
    for seen in (rows, later):
        assert np.abs(encoding.encode(fitted, seen)[0]).max() < 1e-6


@pytest.mark.parametrize("name", ["miles", "tip"])
@pytest.mark.parametrize("values", [[np.inf], [-np.inf, 1.0], [np.inf, -np.inf], [None, np.inf]], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_infinite_value_in_train_is_refused_by_name(name, values):
    with pytest.raises(SkewlessError, match=f"{name} holds an infinite value") as refused:
        fit([plain(), *(plain(**{name: value}) for value in values)])
    assert refused.value.hint


def test_a_train_row_without_a_target_is_refused_by_name_and_count():
    with pytest.raises(SkewlessError, match="2 rows of the train split have no tip"):
        fit([plain(), plain(tip=None), plain(tip=None)])


@given(rows=ROWS)
def test_an_encoding_comes_back_from_json_as_it_was_and_encodes_the_same(rows):
    fitted = fit(rows, baseline="miles", residual=True)
    again = encoding.from_json(encoding.to_json(fitted))
    assert again == fitted
    for one, other in zip(encoding.encode(fitted, table(rows)), encoding.encode(again, table(rows)), strict=True):
        np.testing.assert_array_equal(one, other)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_a_table_in_any_chunks_is_encoded_as_its_rows_in_one_batch(rows, cuts):
    fitted = fit(rows)
    whole = encoding.encode(fitted, pa.RecordBatch.from_pylist(rows, SCHEMA))
    chunked = encoding.encode(fitted, pa.Table.from_batches(batches(rows, cuts), SCHEMA))
    for one, other in zip(whole, chunked, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_rows_are_encoded_as_no_rows():
    numerical, codes = encoding.encode(fit([plain()]), SCHEMA.empty_table())
    assert numerical.shape == (0, 3) and codes.shape == (0, 2)


@given(rows=ROWS)
def test_a_residual_is_the_target_less_its_baseline_and_the_offset_gives_it_back(rows):
    fitted = fit(rows, baseline="miles", residual=True)
    tips = np.array([row["tip"] for row in rows])
    less = np.array([row["tip"] - (row["miles"] or 0.0) for row in rows])
    assert fitted.baseline == "miles" and fitted.target_mean == pytest.approx(less.mean(), rel=1e-9, abs=1e-6)
    back = encoding.residual(table(rows), "tip", "miles") + encoding.offset(table(rows), "miles")
    np.testing.assert_allclose(back, tips, rtol=1e-9, atol=1e-6)
    assert fit(rows, baseline="miles").baseline is None and not encoding.offset(table(rows), None).any()


@given(rows=ROWS)
def test_a_binary_target_is_not_standardised(rows):
    assume(len({row["tip"] for row in rows}) > 1)
    fitted = fit(rows, task="binary")
    assert (fitted.target_mean, fitted.target_std) == (0.0, 1.0)
