"""Records survive JSON, and JSON that is no such record is refused by the record's and the field's name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml import records
from ml.doctor.inspection import Check
from ml.drift.record import Record
from ml.errors import SkewlessError
from ml.ledger import Entry, Total
from ml.metrics import Difference, SplitMetrics
from ml.profile.record import Profile
from ml.quality import Quality, RuleScore, Truth
from ml.results import Ablation, Curve, Metrics

KINDS = [Metrics, Ablation, Curve, Record, Truth, RuleScore, Quality, Profile, Check, Entry, Total]
FOREIGN = st.none() | st.integers() | st.text(max_size=3)


@dataclass(frozen=True)
class Inner:
    x: float
    from_: str = "here"


@dataclass(frozen=True)
class Outer:
    pairs: tuple[tuple[int, str], ...]
    by_name: dict[str, Inner]
    either: int | float
    maybe: Inner | None = None
    foreign: Any = 0


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module", autouse=True)
def finite_numbers() -> Iterator[None]:
    """Numbers of records are finite here: NaN differs from itself."""
    st.register_type_strategy(float, FINITE)
    yield
    st.register_type_strategy(float, st.floats())


def strategy_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, details=st.dictionaries(st.text(max_size=3), FOREIGN)) if kind is Entry else st.from_type(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=examples(20))
@given(data=st.data())
def test_a_record_comes_back_from_json_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(strategy_of(kind))
    assert records.from_json(kind, json.loads(json.dumps(records.to_json(record)))) == record


@given(st.builds(Outer, foreign=FOREIGN, either=FINITE | st.integers()))
def test_nested_records_come_back_with_their_types(record: Outer) -> None:
    back = records.from_json(Outer, json.loads(json.dumps(records.to_json(record))))
    assert back == record and type(back.either) is type(record.either)


def test_json_has_the_shape_of_the_record_and_leaves_out_what_is_none_by_default() -> None:
    record = Outer(((1, "a"),), {"one": Inner(0.5)}, 2)
    assert records.to_json(record) == {"pairs": [[1, "a"]], "by_name": {"one": {"x": 0.5, "from": "here"}}, "either": 2, "foreign": 0}
    split = SplitMetrics(3, 2, rmse=1.0, rmse_interval=(0.5, 1.5), difference=Difference(-0.1, (-0.2, 0.0)))
    assert records.to_json(split)["difference"] == {"point": -0.1, "interval": [-0.2, 0.0]} and "log_loss" not in records.to_json(split)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pears": []}, "Outer has no field 'pears'"),
        ({"pairs": None}, "Outer.pairs must be a list, got None"),
        ({"pairs": [[1]]}, "Outer.pairs[0] must be a list of 2"),
        ({"pairs": [["1", "a"]]}, "Outer.pairs[0][0] must be int, got '1'"),
        ({"pairs": [[True, "a"]]}, "Outer.pairs[0][0] must be int, got True"),
        ({"by_name": {"one": {"x": "no"}}}, "Outer.by_name.one.x must be float, got 'no'"),
        ({"by_name": {"one": {}}}, "Outer.by_name.one lacks the field 'x'"),
        ({"by_name": []}, "Outer.by_name must be dict"),
        ({"maybe": 3}, "Outer.maybe must be an object, got 3"),
        ({"maybe": {"x": 1, "from_": "there"}}, "Outer.maybe has no field 'from_'"),
        ({"either": "two"}, "Outer.either must be"),
    ],
)
def test_what_is_no_such_record_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    good = {"pairs": [[1, "a"]], "by_name": {}, "either": 2}
    assert records.from_json(Outer, good) == Outer(((1, "a"),), {}, 2)
    with pytest.raises(SkewlessError) as refused:
        records.from_json(Outer, {**good, **change})
    assert str(refused.value).startswith(says) and refused.value.hint


@pytest.mark.parametrize("missing", ["pairs", "by_name", "either"])
def test_a_missing_key_is_named(missing: str) -> None:
    value = {"pairs": [], "by_name": {}, "either": 2}
    del value[missing]
    with pytest.raises(SkewlessError, match=f"Outer lacks the field '{missing}'"):
        records.from_json(Outer, value)
