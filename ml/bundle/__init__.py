"""Write, verify and open a bundle: everything that answers a request. Its id is its content alone; receipts are stored next to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import contract as contracts
from ml import provenance, records, storage
from ml.contract import Contract
from ml.errors import GateError
from ml.hashing import hash_json, hash_tree
from ml.online.bulk import OnlineFeatures
from ml.places import Places
from ml.results import Metrics

if TYPE_CHECKING:
    from ml.predictor import Model

RUN_FILES = ("weights.safetensors", "network.json", "encoding.json", "calibration.json")  # what a bundle takes from its run
RECORD = "bundle.json"  # describes the other files, so it is not among them
REFERENCE_ROWS = 5_000
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class About:
    """The record of a bundle: its id, where it comes from, and the sha256 of each of its files."""

    id: str
    project: str
    run: str
    snapshot: str
    created_at: str
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, loaded."""

    id: str
    folder: Path
    contract: Contract
    model: Model
    online: OnlineFeatures


def write(places: Places, run: str, snapshot: str, metrics: dict[str, Any]) -> tuple[str, bool]:
    """Write the bundle of a run; its id, and whether it was stored already."""
    where = places.where
    trained, frozen = storage.fetch(where, places.run(run)), storage.fetch(where, places.snapshot(snapshot))
    made_from = provenance.key("ml.bundle", "ml.predictor", run=hash_tree(trained), snapshot=hash_tree(frozen), metrics=metrics)
    known = storage.read_json(where, places.packaged(made_from))
    if known and storage.exists(where, f"{places.bundle(known['id'])}/{RECORD}"):
        return str(known["id"]), True
    with storage.scratch_folder(where) as scratch:
        out = scratch / "bundle"
        out.mkdir()
        for name in RUN_FILES:
            shutil.copy(trained / name, out / name)
        for name in ("contract.json", "online.sql"):
            shutil.copy(frozen / name, out / name)
        shutil.copytree(frozen / "lookups", out / "lookups") if (frozen / "lookups").exists() else (out / "lookups").mkdir()
        _write_reference(trained, contracts.load(out / "contract.json"), frozen, out / "reference.parquet")
        storage.write_local_json(out / "metrics.json", metrics)
        files = hash_tree(out)
        identity = _content_id(places.project, run, snapshot, files)
        unchanged = storage.exists(where, f"{places.bundle(identity)}/{RECORD}")
        if not unchanged:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            storage.write_local_json(out / RECORD, vars(About(identity, places.project, run, snapshot, now, files)))
            with storage.staging(where, places.bundle(identity)) as published:
                shutil.copytree(out, published, dirs_exist_ok=True)
    storage.write_json(where, places.packaged(made_from), {"id": identity})
    return identity, unchanged


def content_of(metrics: Metrics) -> dict[str, Any]:
    """The metrics that a bundle carries: the numbers, and not the code that they were computed with."""
    return records.to_json(replace(metrics, code=""))


def about(folder: Path) -> About:
    """The record of a bundle, as it was written.

    Raises:
        GateError: where there is none.
    """
    try:
        return About(**json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise GateError(f"{folder} is not a bundle: {error}", "package it again: skewless package PROJECT") from error


def verify(folder: Path) -> About:
    """The record of a bundle, after checking that its files are those that were written and that its id is their hash.

    Raises:
        GateError: naming the file that differs.
    """
    record = about(folder)
    hint = f"it was edited; delete it, then package again: skewless package {record.project}"
    actual = {name: value for name, value in hash_tree(folder).items() if name in record.files}
    for name, value in record.files.items():
        if actual.get(name) != value:
            raise GateError(f"{name} of bundle {record.id} is not what was packaged", hint)
    expected = _content_id(record.project, record.run, record.snapshot, record.files)
    if not record.id == folder.name == expected:
        raise GateError(f"the bundle in {folder} is recorded as {record.id}, but its content is {expected}", hint)
    return record


def open_verified(folder: Path) -> Bundle:
    """Verify the files of a bundle and load it. Answering requests with it requires its receipt too."""
    from ml.predictor import load_network  # torch takes seconds, and most verbs only verify

    identity = verify(folder).id
    contract = contracts.load(folder / "contract.json")
    return Bundle(identity, folder, contract, load_network(folder, contract), OnlineFeatures(contract, folder / "lookups"))


def _content_id(project: str, run: str, snapshot: str, files: dict[str, str]) -> str:
    return hash_json([project, run, snapshot, files])[:12]


def _write_reference(run: Path, contract: Contract, frozen: Path, path: Path) -> None:
    """Feature rows of the train split among the frozen ones, with the network's predictions: what drift and the receipt compare with."""
    from ml.predictor import load_network, predict

    table = pq.read_table(frozen / "expected.parquet").filter(pc.field(contract.only("split")) == "train").slice(0, REFERENCE_ROWS)
    names = [column.name for column in contract.features]
    answers = predict(load_network(run, contract), table)
    pq.write_table(table.select(names).append_column("prediction", pa.array(answers.prediction)), path)
