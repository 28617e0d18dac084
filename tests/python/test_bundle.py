"""The receipt finds what differs, and nothing else; intervals keep their coverage."""

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
from ml.online import OnlineFeatures
from ml.train import calibration


@pytest.fixture
def frozen(lived: Checkout, tmp_path: Path) -> Path:
    """A private copy of the toy's snapshot."""
    current = json.loads((lived.own / "snapshot.json").read_text())["id"]
    return Path(shutil.copytree(lived.own / "snapshots" / current, tmp_path / "snapshot"))


def receipt_of(folder: Path) -> dict:
    declared = contract.load(folder / "contract.json")
    return bundle.make_receipt(OnlineFeatures(declared, folder / "lookups"), folder, lambda *_: None)


def rewrite(path: Path, name: str, change) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, change(table[name])), path)


def test_an_untouched_snapshot_is_reproduced_exactly(frozen: Path) -> None:
    receipt = receipt_of(frozen)
    assert receipt["ok"] and receipt["rows"] == 494 and receipt["refused"] == 0
    assert all(entry["differing"] == 0 for entry in receipt["features"].values())


@pytest.mark.parametrize(
    ("factor", "ok"), [(1 + 1e-10, True), (1 + 1e-8, False), (1 + 1e-5, False)], ids=["rounding", "a part in 1e8", "a part in 1e5"]
)
def test_doubles_may_differ_by_rounding_and_no_more(frozen: Path, factor: float, ok: bool) -> None:
    rewrite(frozen / "expected.parquet", "weight_kg", lambda column: pc.multiply(column, factor))
    receipt = receipt_of(frozen)
    assert receipt["ok"] is ok
    if not ok:
        assert "weight_kg differs in" in receipt["verdict"] and "distance_km" not in receipt["verdict"]


def test_one_wrong_text_in_one_row_is_found_with_its_key(frozen: Path) -> None:
    def spoil(column: pa.ChunkedArray) -> pa.Array:
        return pa.array(["swiftly" if index == 123 else value for index, value in enumerate(column.to_pylist())])

    key = pq.read_table(frozen / "expected.parquet")["parcel_id"][123].as_py()
    rewrite(frozen / "expected.parquet", "carrier", spoil)
    receipt = receipt_of(frozen)
    assert not receipt["ok"] and receipt["features"]["carrier"]["differing"] == 1 and key in receipt["verdict"]


def test_a_value_against_a_null_differs(frozen: Path) -> None:
    rewrite(frozen / "expected.parquet", "weight_kg", lambda column: pa.array([None, *column.to_pylist()[1:]], pa.float64()))
    assert receipt_of(frozen)["features"]["weight_kg"]["differing"] == 1


def test_a_changed_lookup_is_found(frozen: Path) -> None:
    rewrite(frozen / "lookups" / "toy_depots.parquet", "distance_km", lambda column: pc.add(column, 0.001))
    assert "distance_km differs" in receipt_of(frozen)["verdict"]


def test_a_row_that_the_door_refuses_spoils_the_receipt(frozen: Path) -> None:
    rewrite(frozen / "requests.parquet", "weight_g", lambda column: pa.array([99_000, *column.to_pylist()[1:]], pa.int32()))
    receipt = receipt_of(frozen)
    assert receipt["refused"] == 1 and "ok_weight" in receipt["verdict"]


def test_too_few_frozen_rows_spoil_the_receipt(frozen: Path) -> None:
    for name in ("requests", "expected"):
        pq.write_table(pq.read_table(frozen / f"{name}.parquet").slice(0, 100), frozen / f"{name}.parquet")
    assert "were frozen" in receipt_of(frozen)["verdict"]


def test_margins_give_the_intervals_their_coverage() -> None:
    generator = np.random.default_rng(0)
    import torch

    class Bounds(torch.nn.Module):
        def forward(self, numerical: torch.Tensor, categorical: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0, -0.2, 0.2]]).repeat(len(numerical), 1)  # far too narrow for a standard normal

    from ml.encoding import Encoding
    from ml.network import QuantileHead

    fitted = Encoding(("x",), (0.0,), (1.0,), (), {}, "y", 0.0, 1.0, None)
    batch = pa.RecordBatch.from_pydict({"x": np.zeros(20_000), "y": generator.normal(size=20_000)})
    margin = calibration.calibrate(Bounds(), QuantileHead(), fitted, [batch])["margin"]
    fresh = generator.normal(size=20_000)
    assert float((np.abs(fresh) <= 0.2 + margin).mean()) == pytest.approx(0.9, abs=0.01)
