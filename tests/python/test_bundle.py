"""The receipt finds what differs, and nothing else; intervals keep their coverage."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import Checkout

from ml import bundle, contract
from ml.bundle import receipt
from ml.online.bulk import OnlineFeatures
from ml.train import calibration


@pytest.fixture
def frozen(lived: Checkout, tmp_path: Path) -> Path:
    """A private copy of the toy's snapshot."""
    current = json.loads((lived.own / "snapshot.json").read_text())["id"]
    return Path(shutil.copytree(lived.own / "snapshots" / current, tmp_path / "snapshot"))


@pytest.fixture
def loaded(lived: Checkout) -> bundle.Bundle:
    """The toy's champion."""
    version = json.loads((lived.own / "champion").read_text())["version"]
    return bundle.open_verified(lived.own / "bundles" / version)


def receipt_of(loaded: bundle.Bundle, folder: Path) -> receipt.Receipt:
    """The receipt of a bundle against a snapshot, from whose lookups it answers."""
    online = OnlineFeatures(loaded.contract, folder / "lookups")
    return receipt.make(dataclasses.replace(loaded, online=online), folder, lambda *_: None)


def rewrite(path: Path, name: str, change) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, change(table[name])), path)


def test_an_untouched_snapshot_is_reproduced_exactly(loaded: bundle.Bundle, frozen: Path) -> None:
    made = receipt_of(loaded, frozen)
    assert made.ok and made.rows == 494 and made.refused == 0 and made.code == receipt.request_code().id
    assert all(entry.differing == 0 for entry in made.features.values()) and made.predictions.differing == 0
    assert made.example is not None and 0 < made.example["prediction"] < 1
    assert receipt.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("factor", "ok"), [(1 + 1e-10, True), (1 + 1e-8, False), (1 + 1e-5, False)], ids=["rounding", "a part in 1e8", "a part in 1e5"]
)
def test_doubles_may_differ_by_rounding_and_no_more(loaded: bundle.Bundle, frozen: Path, factor: float, ok: bool) -> None:
    rewrite(frozen / "expected.parquet", "weight_kg", lambda column: pc.multiply(column, factor))
    made = receipt_of(loaded, frozen)
    assert made.ok is ok
    if not ok:
        assert "weight_kg differs in" in made.verdict and "distance_km" not in made.verdict


def test_one_wrong_text_in_one_row_is_found_with_its_key(loaded: bundle.Bundle, frozen: Path) -> None:
    def spoil(column: pa.ChunkedArray) -> pa.Array:
        return pa.array(["swiftly" if index == 123 else value for index, value in enumerate(column.to_pylist())])

    key = pq.read_table(frozen / "expected.parquet")["parcel_id"][123].as_py()
    rewrite(frozen / "expected.parquet", "carrier", spoil)
    made = receipt_of(loaded, frozen)
    assert not made.ok and made.features["carrier"].differing == 1 and key in made.verdict


def test_a_value_against_a_null_differs(loaded: bundle.Bundle, frozen: Path) -> None:
    rewrite(frozen / "expected.parquet", "weight_kg", lambda column: pa.array([None, *column.to_pylist()[1:]], pa.float64()))
    assert receipt_of(loaded, frozen).features["weight_kg"].differing == 1


def test_a_changed_lookup_is_found(loaded: bundle.Bundle, frozen: Path) -> None:
    rewrite(frozen / "lookups" / "toy_depots.parquet", "distance_km", lambda column: pc.add(column, 0.001))
    assert "distance_km differs" in receipt_of(loaded, frozen).verdict


def test_a_frozen_row_that_is_refused_spoils_the_receipt(loaded: bundle.Bundle, frozen: Path) -> None:
    rewrite(frozen / "requests.parquet", "weight_g", lambda column: pa.array([99_000, *column.to_pylist()[1:]], pa.int32()))
    made = receipt_of(loaded, frozen)
    assert made.refused == 1 and not made.ok and "ok_weight" in made.verdict


def test_too_few_frozen_rows_spoil_the_receipt(loaded: bundle.Bundle, frozen: Path) -> None:
    for name in ("requests", "expected"):
        pq.write_table(pq.read_table(frozen / f"{name}.parquet").slice(0, 100), frozen / f"{name}.parquet")
    assert "were frozen" in receipt_of(loaded, frozen).verdict


def test_a_network_that_answers_otherwise_than_when_it_was_packaged_spoils_the_receipt(loaded: bundle.Bundle, frozen: Path) -> None:
    shifted = dataclasses.replace(loaded.model, calibration={**loaded.model.calibration, "shift": loaded.model.calibration["shift"] + 0.01})
    made = receipt_of(dataclasses.replace(loaded, model=shifted), frozen)
    assert not made.ok and "the network answers" in made.verdict


def test_an_example_that_is_refused_spoils_the_receipt(loaded: bundle.Bundle, frozen: Path) -> None:
    inputs = tuple(dataclasses.replace(column, example=None) for column in loaded.contract.inputs)
    made = receipt_of(dataclasses.replace(loaded, contract=dataclasses.replace(loaded.contract, inputs=inputs)), frozen)
    assert not made.ok and "the contract's example is refused" in made.verdict


def test_margins_give_the_intervals_their_coverage() -> None:
    generator = np.random.default_rng(0)
    import torch

    class Bounds(torch.nn.Module):
        def forward(self, numerical: torch.Tensor, categorical: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0, -0.2, 0.2]]).repeat(len(numerical), 1)  # far too narrow for a standard normal

    columns = (contract.Column("x", "double", "feature", kind="numerical"), contract.Column("y", "double", "target"))
    declared = contract.Contract("p", "regression", "f", "r", columns, ())
    from ml.encoding import Encoding

    fitted = Encoding(("x",), (0.0,), (1.0,), (), {}, "y", 0.0, 1.0, None)
    batch = pa.RecordBatch.from_pydict({"x": np.zeros(20_000), "y": generator.normal(size=20_000)})
    margin = calibration.calibrate(Bounds(), declared, fitted, [batch])["margin"]
    fresh = generator.normal(size=20_000)
    assert float((np.abs(fresh) <= 0.2 + margin).mean()) == pytest.approx(0.9, abs=0.01)
