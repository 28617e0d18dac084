"""The verb quality computes again only what could have changed, and says truly whether it did."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import ingest, provenance, quality, storage
from ml.contract.meta import SimulateMeta
from ml.errors import GateError
from ml.ingest import Load
from ml.places import Places
from ml.storage import Storage, open_storage
from ml.warehouse import Warehouse, relations
from ml.warehouse.relations import RuleScore

ROWS = 4


@dataclass
class Engine:
    """A warehouse that has the answers to the queries of `quality`, and counts how often it was opened."""

    invocation: str | None = "1"
    stored: bool = True
    catches: list[str] = field(default_factory=lambda: ["broken"])
    opened: int = 0

    def is_stored(self) -> bool:
        return self.stored

    def last_invocation(self) -> str | None:
        return self.invocation

    def compiled_manifest(self, project: str, progress: Any) -> dict[str, Any]:
        def model(name: str, needs: list[str], meta: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
            return {
                "resource_type": "model", "unique_id": name, "name": name, "original_file_path": f"models/toy/{name}.sql", "path": name,
                "config": {"meta": meta}, "depends_on": {"nodes": needs}, "columns": columns,
            }  # fmt: skip

        rule = {"dimension": "valid", "budget": 1, "action": "flag", "catches": self.catches}
        checked = model("checked", [], {}, {"ok_km": {"name": "ok_km", "config": {"meta": {"rule": rule}}}})
        asked = model("asked", ["checked"], {}, {})
        features = model("features", ["asked"], {"ml": {"request": "asked", "task": "regression"}}, {})
        return {"nodes": {node["unique_id"]: node for node in (checked, asked, features)}}

    @contextlib.contextmanager
    def connection(self, purpose: str, progress: Any) -> Iterator["Engine"]:
        self.opened += 1
        yield self

    def stream(self, sql: str) -> pa.RecordBatchReader:
        rows = pa.table({
            "raw_file": ["simulated.txt"] * ROWS, "raw_row": range(ROWS), "raw_load_id": ["l"] * ROWS, "split": ["test"] * ROWS,
            "ok_km": [False, False, True, True],
        })  # fmt: skip
        columns = sql.removeprefix("select ").removeprefix("distinct ").split(" from ")[0].split(", ")
        found = rows.select(columns)
        return (found.group_by(columns).aggregate([]) if "distinct" in sql else found).to_reader()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    card = [RuleScore("km", "valid", "flag", 2, ROWS, 1.0, 0.5, "simulated.txt", 0, 0, None)]
    monkeypatch.setattr(relations, "scorecard", lambda opened, project: card)
    monkeypatch.setattr(ingest, "load_ids", lambda *_: ["t/l"])
    monkeypatch.setattr(ingest, "declared_simulation", lambda *_: None)
    return Engine()


def plant(where: Storage, monkeypatch: pytest.MonkeyPatch, declared: SimulateMeta) -> None:
    """A stored and loaded simulation of ROWS rows."""
    with storage.staging(where, "simulated/toy/4-1") as folder:
        (folder / "truth").mkdir()
        truth = {"raw_file": ["simulated.txt"] * ROWS, "raw_row": range(ROWS), "noise": [3.0, 4.0, 0.0, 0.0], "expected": [1.0] * ROWS,
                 "broken": [True, False, True, False]}  # fmt: skip
        pq.write_table(pa.table(truth), folder / "truth" / "simulated.parquet")
    storage.write_json(where, "simulated/toy/4-1/simulation.json", {"files": [{"name": "simulated.txt", "bytes": 9}]})
    storage.write_json(where, "simulated/toy/4-1/made_from.json", {"key": "a"})
    monkeypatch.setattr(ingest, "loads", lambda *_: [Load("t", "simulated.txt", "l", ROWS, ROWS, 0, bytes=9)])
    monkeypatch.setattr(ingest, "declared_simulation", lambda *_: declared)


def judge(where: Storage, engine: Engine) -> tuple[quality.Quality, bool]:
    return quality.quality(where, Path(), cast(Warehouse, engine), "toy", lambda *_: None)


def test_the_same_build_is_judged_once_and_another_again(engine: Engine, tmp_path: Path) -> None:
    where = open_storage(str(tmp_path), "w")
    first, unchanged = judge(where, engine)
    assert not unchanged and first.truth is None and first.scorecard[0].broken == 2
    assert judge(where, engine) == (first, True) and engine.opened == 1
    engine.invocation = "2"
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is True


def test_new_code_new_loads_and_a_build_without_a_record_are_judged_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = open_storage(str(tmp_path), "w")
    judge(where, engine)
    monkeypatch.setattr(ingest, "load_ids", lambda *_: ["t/l", "t/m"])
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is True
    monkeypatch.setattr(provenance, "code", lambda *_: provenance.Code({"ml.quality": "edited"}, {}))
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is True
    engine.invocation = None
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is False
    engine.stored = False
    with pytest.raises(GateError, match="has no scorecard"):
        judge(where, engine)


def test_the_truth_has_the_declared_columns_and_depends_on_simulation_declaration_and_run(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = open_storage(str(tmp_path), "w")
    declared = SimulateMeta(module="ml.simulate.toy", rows=ROWS, seed=1, noise="noise", truth=("expected",))
    plant(where, monkeypatch, declared)
    made, unchanged = judge(where, engine)
    assert made.truth is not None and not unchanged and judge(where, engine) == (made, True)
    (defect,) = made.truth.defects
    assert (defect.defect, defect.rows, defect.found, defect.recall, defect.precision) == ("broken", 2, 1, 0.5, 0.5)
    assert made.truth.noise_floor["test"].floor_rmse == 2.5
    storage.write_json(where, "simulated/toy/4-1/made_from.json", {"key": "b"})
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is True
    engine.catches = ["other"]
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is True
    monkeypatch.setattr(
        ingest, "declared_simulation", lambda *_: SimulateMeta(module="ml.simulate.toy", rows=ROWS, seed=1, truth=("expected", "noise"))
    )
    made, unchanged = judge(where, engine)
    assert not unchanged and made.truth is not None and made.truth.noise_floor == {}
    storage.write_json(where, Places(where, "toy").pointer("run"), {"id": "r"})
    with storage.staging(where, Places(where, "toy").run("r")):
        pass
    assert judge(where, engine)[1] is False and judge(where, engine)[1] is True
