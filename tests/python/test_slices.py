"""Slices: categories, months and bands, each row in exactly one; gates that say what they ask."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import evaluate, metrics
from ml.contract import Column, Contract, Slice
from ml.evaluate.slices import in_order, labels
from ml.metrics import Answers, Difference, SplitMetrics
from ml.results import Baseline, Metrics


def test_a_band_holds_its_lower_edge_and_not_its_upper() -> None:
    batch = pa.record_batch({"delay": pa.array([-1.0, 0.0, 14.9, 15.0, 59.0, 60.0, None])})
    found = labels(Slice("delay", "delay", "band", (0.0, 15.0, 60.0)), batch)
    assert found.tolist() == ["below 0", "0 to 15", "0 to 15", "15 to 60", "15 to 60", "60 and more", "missing"]


@given(st.lists(st.floats(allow_infinity=True, allow_nan=False), min_size=1), st.sets(st.integers(-100, 100), min_size=1))
def test_every_number_is_in_the_band_between_its_edges(values: list[float], edges: set[int]) -> None:
    rising = tuple(float(edge) for edge in sorted(edges))
    found = labels(Slice("x", "x", "band", rising), pa.record_batch({"x": pa.array(values, pa.float64())}))
    for value, label in zip(values, found, strict=True):
        below = sum(edge <= value for edge in rising)
        assert label == (f"below {rising[0]:g}" if below == 0 else f"{rising[below - 1]:g} " + (
            "and more" if below == len(rising) else f"to {rising[below]:g}"))  # fmt: skip


def test_labels_are_in_order() -> None:
    bands = ["60 and more", "below -5", "15 to 60", "-5 to 15"]
    assert sorted(bands, key=in_order) == ["below -5", "-5 to 15", "15 to 60", "60 and more"]
    assert sorted(["UA", "9E", "2013-08", "2013-01"], key=in_order) == ["2013-01", "2013-08", "9E", "UA"]


def test_a_month_is_that_of_the_time_column() -> None:
    batch = pa.record_batch({"at": pa.array([datetime(2013, 8, 31, 23, 59), datetime(2013, 9, 1)], pa.timestamp("us"))})
    assert labels(Slice("month", "at", "month"), batch).tolist() == ["2013-08", "2013-09"]


def test_slices_hold_every_row_once_with_their_error_and_coverage() -> None:
    answers = Answers(np.array([0.0, 0, 0, 0]), np.array([1.0, -1, 3, -3]), np.array([0, 1, 0, 1]), 2)
    found = metrics.by_slice(answers, np.array(["a", "a", "b", "b"]), np.array([True, True, True, False]), "regression")
    assert {name: (entry.rows, entry.rmse, entry.coverage) for name, entry in found.items()} == {"a": (2, 1, 1), "b": (2, 3, 0.5)}
    assert found["a"].mean_error == 0 and found["a"].interval is None  # two groups are too few for an interval


def numbers(gap: float = 0.1, low: float = -0.1, line: float = -0.2, coverage: float = 0.9) -> Metrics:
    def errors(rmse: float, point: float = 0.0, low: float = 0.0, high: float = 0.0) -> SplitMetrics:
        return SplitMetrics(100, 20, rmse, (rmse - 1, rmse + 1), difference=Difference(point, (low, high)))

    own = SplitMetrics(100, 20, 17.0, (16.0, 18.0), coverage=coverage)
    others = {
        "gradient_boosting": Baseline(errors(17.0, gap, low, gap + 0.2), errors(16.0)),
        "linear": Baseline(errors(18.0), errors(16.0, line, line - 1, line + 1)),
    }
    return Metrics("p", "regression", "y", "run", "snapshot", "code", own, SplitMetrics(50, 10, 16.0, (15.0, 17.0)), others)


@pytest.mark.parametrize(
    ("change", "broken"),
    [({}, []), ({"gap": 0.35}, ["boosting"]), ({"low": 0.05}, ["boosting"]), ({"line": 0.01}, ["linear_out_of_time"]),
     ({"coverage": 0.85}, ["coverage"]), ({"coverage": 0.95}, ["coverage"])],
)  # fmt: skip
def test_a_gate_closes_on_its_own_number_alone(change: dict[str, float], broken: list[str]) -> None:
    columns = (Column("y", "double", "target"),)
    asked = {"boosting": 0.02, "linear_out_of_time": True, "coverage": [0.86, 0.94]}
    contract = Contract("p", "regression", "f", "c", columns, (), gates=asked)
    assert [gate.name for gate in evaluate.gates(numbers(**change), contract) if not gate.ok] == broken
    assert evaluate.gates(numbers(**change), Contract("p", "regression", "f", "c", columns, ())) == ()
