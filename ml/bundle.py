"""Write, verify and load a bundle: everything that answers a request, and the receipt that it answers as the warehouse would."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import contract as contracts
from ml import online, storage
from ml.contract import Contract
from ml.errors import GateError, SkewlessError
from ml.hashing import hash_json, hash_tree
from ml.online import OnlineFeatures
from ml.storage import Storage

if TYPE_CHECKING:
    from ml.predictor import Model

FORMAT = 1
RUN_FILES = ("weights.safetensors", "network.json", "encoding.json", "calibration.json")  # what a bundle takes from its run
RECEIPT_ROWS = 10_000
REQUEST_SIZE = 1_000
ABSOLUTE, RELATIVE = 1e-12, 1e-9
REFERENCE_ROWS = 5_000
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, loaded."""

    id: str
    folder: Path
    contract: Contract
    model: Model
    online: OnlineFeatures


@dataclass(frozen=True)
class Package:
    """A written bundle."""

    id: str
    key: str
    receipt: dict[str, Any]
    unchanged: bool


def package(where: Storage, project: str, metrics: dict[str, Any], progress: Progress) -> Package:
    """Write the bundle of the current run, with its receipt.

    Raises:
        GateError: when the online path does not reproduce the snapshot's values; then no bundle is left.
    """
    run_key, snapshot_key = where.own(project, "runs", metrics["run"]), where.own(project, "snapshots", metrics["snapshot"])
    run, frozen = storage.fetch(where, run_key), storage.fetch(where, snapshot_key)
    identity = hash_json([FORMAT, hash_tree(run), hash_tree(frozen), metrics, _engines()])[:12]
    key = where.own(project, "bundles", identity)
    known = storage.read_json(where, f"{key}/bundle.json")
    if known:
        storage.write_json(where, where.own(project, "bundle.json"), {"id": identity})
        return Package(identity, key, storage.read_json(where, f"{key}/receipt.json"), unchanged=True)

    with storage.staging(where, key) as out:
        for name in RUN_FILES:
            shutil.copy(run / name, out / name)
        for name in ("contract.json", "online.sql"):
            shutil.copy(frozen / name, out / name)
        shutil.copytree(frozen / "lookups", out / "lookups") if (frozen / "lookups").exists() else (out / "lookups").mkdir()
        contract = contracts.load(out / "contract.json")
        receipt = make_receipt(OnlineFeatures(contract, out / "lookups"), frozen, progress)
        if not receipt["ok"]:
            raise GateError(
                f"the receipt refuses: {receipt['verdict']}",
                "the warehouse and the online SQL disagree; look at the macros of the features named, build and snapshot again",
            )
        _write_reference(run, contract, frozen, out / "reference.parquet")
        storage.write_local_json(out / "receipt.json", receipt)
        storage.write_local_json(out / "metrics.json", metrics)
        about = {
            "id": identity,
            "project": project,
            "run": metrics["run"],
            "snapshot": metrics["snapshot"],
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": hash_tree(out),
        }
        storage.write_local_json(out / "bundle.json", about)
    storage.write_json(where, where.own(project, "bundle.json"), {"id": identity})
    return Package(identity, key, receipt, unchanged=False)


def verify(folder: Path) -> dict[str, Any]:
    """The bundle's record, after checking that its files are those that were written and that its receipt is good.

    Raises:
        GateError: naming the file that differs, or the receipt that is missing or bad.
    """
    try:
        about = json.loads((folder / "bundle.json").read_text())
        receipt = json.loads((folder / "receipt.json").read_text())
    except (FileNotFoundError, ValueError) as error:
        raise GateError(f"{folder} is no bundle with a receipt: {error}", "package it again: skewless package PROJECT") from error
    actual = {name: value for name, value in hash_tree(folder).items() if name in about["files"]}
    for name, value in about["files"].items():
        if actual.get(name) != value:
            raise GateError(
                f"{name} of bundle {about['id']} is not what was packaged",
                "somebody edited it; package again: skewless package " + about["project"],
            )
    if receipt.get("ok") is not True:
        raise GateError(f"bundle {about['id']} has no good receipt", f"package it again: skewless package {about['project']}")
    return dict(about)


def load(folder: Path) -> Bundle:
    """Verify a bundle and load it."""
    from ml.predictor import load_network  # torch takes seconds, and most verbs only verify

    about = verify(folder)
    contract = contracts.load(folder / "contract.json")
    return Bundle(about["id"], folder, contract, load_network(folder, contract), OnlineFeatures(contract, folder / "lookups"))


def make_receipt(features: OnlineFeatures, frozen: Path, progress: Progress) -> dict[str, Any]:
    """Send frozen request rows through JSON, the service's parser, its rules and its feature SQL; compare with the snapshot.

    Exact for integers, text and booleans; doubles within 1e-12 or a part in 1e9.
    """
    contract = features.contract
    requests, expected = pq.read_table(frozen / "requests.parquet"), pq.read_table(frozen / "expected.parquet")
    key = contract.only("key")
    if requests[key].to_pylist() != expected[key].to_pylist():
        raise SkewlessError(
            "the frozen requests and features are not of the same rows", "the snapshot is damaged; delete it and take it again"
        )
    names = [column.name for column in contract.inputs]
    problems: list[str] = []
    parts = []
    for start in range(0, requests.num_rows, REQUEST_SIZE):
        slice_ = requests.slice(start, REQUEST_SIZE)
        body = json.dumps(
            [
                {name: online.to_json_value(value) for name, value in row.items() if value is not None}
                for row in slice_.select(names).to_pylist()
            ]
        )
        parsed, refusals = online.parse(contract, json.loads(body))
        broken, _ = features.judge(parsed)
        for refusal in [*refusals, *broken]:
            problems.append(
                f"{key} {slice_[key][refusal.row]} is refused at the door: {refusal.field} breaks {refusal.rule} with {refusal.value!r}"
            )
        parts.append(features.features(parsed))
        progress("receipt", start + slice_.num_rows, requests.num_rows)
    answered = pa.concat_tables(parts)
    total = sum(json.loads((frozen / "snapshot.json").read_text())["counts"].values())
    if requests.num_rows < min(RECEIPT_ROWS, total):
        problems.append(f"only {requests.num_rows:,} of {total:,} rows were frozen, and {RECEIPT_ROWS:,} are needed")
    compared = {name: _compare(expected[name], answered[name], expected[key]) for name in (column.name for column in contract.features)}
    problems += [
        f"{name} differs in {c['differing']:,} of {requests.num_rows:,} rows, at worst {c['worst']}"
        for name, c in compared.items()
        if c["differing"]
    ]
    return {
        "ok": not problems,
        "verdict": "; ".join(problems[:5]) or f"{requests.num_rows:,} rows, {len(compared)} features: online equals warehouse",
        "rows": requests.num_rows,
        "refused": sum("refused" in problem for problem in problems),
        "features": compared,
        "engines": _engines(),
    }


def _compare(expected: pa.ChunkedArray, actual: pa.ChunkedArray, keys: pa.ChunkedArray) -> dict[str, Any]:
    """Where two columns differ, and by how much at worst."""
    if pa.types.is_floating(expected.type):
        left = expected.cast(pa.float64()).to_numpy()
        right = actual.cast(pa.float64()).to_numpy()
        both = np.isnan(left) & np.isnan(right)
        one = np.isnan(left) != np.isnan(right)
        distance = np.where(both | one, 0.0, np.abs(left - right))
        scale = np.maximum(np.abs(left), np.abs(right))
        bad = one | ((distance > ABSOLUTE) & (distance > RELATIVE * np.where(scale > 0, scale, 1)))
        worst_index = int(np.argmax(np.where(one, np.inf, distance))) if len(distance) else 0
        largest = float(distance.max()) if len(distance) else 0.0
    else:
        same = pc.fill_null(pc.equal(expected, actual.cast(expected.type)), False)
        nulls = pc.and_(pc.is_null(expected), pc.is_null(actual))
        bad = ~pc.or_(same, nulls).to_numpy()
        worst_index = int(np.argmax(bad)) if len(bad) else 0
        largest = 1.0 if bad.any() else 0.0
    worst = None
    if bad.any():
        pair = f"warehouse {expected[worst_index].as_py()!r}, online {actual[worst_index].as_py()!r}"
        worst = f"{pair} at {keys[worst_index].as_py()}"
    return {"differing": int(bad.sum()), "largest_difference": largest, "worst": worst}


def _write_reference(run: Path, contract: Contract, frozen: Path, path: Path) -> None:
    """Feature rows of the train split among the frozen ones, with the network's answers: what drift compares with."""
    from ml.predictor import load_network, predict

    table = pq.read_table(frozen / "expected.parquet").filter(pc.field(contract.only("split")) == "train").slice(0, REFERENCE_ROWS)
    names = [column.name for column in contract.features]
    answers = predict(load_network(run, contract), table)
    pq.write_table(table.select(names).append_column("prediction", pa.array(answers.prediction)), path)


def _engines() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("duckdb", "torch", "numpy", "pyarrow")}
