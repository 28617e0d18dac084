"""The receipt: the record that the request path of this code answers as the warehouse and the trained network do.

A receipt is for one bundle and one version of the code. Changed code needs a new one, made from the bundle's snapshot.
"""

import functools
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import bundle, provenance, storage
from ml.bundle import Bundle, Progress
from ml.contract import Contract
from ml.errors import GateError, SkewlessError
from ml.online.parse import request_row
from ml.places import Places

MIN_ROWS = 10_000
REQUEST_ROWS = 1_000  # of one request
ABSOLUTE, RELATIVE = 1e-12, 1e-9
NETWORK_RELATIVE = 1e-6  # float32 networks of equal weights on another processor
MODULES = ("ml.answers", "ml.bundle.receipt")


@dataclass(frozen=True)
class Compared:
    """A column of two tables: rows that differ, the largest difference, and the worst pair with its key."""

    differing: int
    largest_difference: float
    worst: str | None


@dataclass(frozen=True)
class Receipt:
    """What was compared, and whether all of it agreed. `code`: the id of the request path; `example`: the answer to the contract's."""

    ok: bool
    verdict: str
    bundle: str
    snapshot: str
    code: str
    made_at: str
    rows: int
    refused: int
    features: dict[str, Compared]
    predictions: Compared
    example: dict[str, Any] | None
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def from_json(value: dict[str, Any]) -> Receipt:
    """The receipt that `to_json` wrote."""
    features = {name: Compared(**entry) for name, entry in value["features"].items()}
    return Receipt(**{**value, "features": features, "predictions": Compared(**value["predictions"])})


@functools.cache
def request_code() -> provenance.Code:
    """The code from a request's body to its answer, with the libraries that it computes with."""
    return provenance.code(*MODULES)


def certify(places: Places, identity: str, progress: Progress) -> tuple[Receipt, bool]:
    """The receipt of a bundle for this code, and whether it was stored already; made from the bundle's own snapshot.

    Raises:
        GateError: when the request path does not answer as the warehouse does, or the snapshot is gone.
    """
    where, code = places.where, request_code()
    try:
        return require(places, identity), True
    except GateError:
        pass  # none yet, or an invalid one
    loaded = bundle.open_verified(storage.fetch(where, places.bundle(identity)))
    snapshot = bundle.about(loaded.folder).snapshot
    frozen = storage.fetch(where, places.snapshot(snapshot))
    if not (frozen / "snapshot.json").exists():
        raise GateError(
            f"snapshot {snapshot}, from which bundle {identity} was made, is gone, so nothing can certify it for this code",
            f"train on a new one: skewless run {places.project}",
        )
    made = make(loaded, frozen, progress)
    if not made.ok:
        raise GateError(
            f"the receipt refuses: {made.verdict}",
            "the warehouse and the request path disagree; look at the macros of the features named and at the code of ml/online, "
            "then build and snapshot again",
        )
    storage.write_json(where, places.receipt(identity, code.id), made.to_json())
    return made, False


def require(places: Places, identity: str) -> Receipt:
    """The stored receipt of a bundle for this code.

    Raises:
        GateError: where there is none, or the stored one is not valid.
    """
    code = request_code().id
    value = storage.read_json(places.where, places.receipt(identity, code))
    hint = f"certify it: skewless package {places.project} --bundle {identity}"
    if value is None:
        raise GateError(f"bundle {identity} of {places.project} has no receipt for this code ({code})", hint)
    try:
        found = from_json(value)
    except (TypeError, KeyError, AttributeError) as error:
        raise GateError(f"the receipt of bundle {identity} of {places.project} for this code is damaged: {error}", hint) from error
    if not found.ok or (found.bundle, found.code) != (identity, code):
        raise GateError(f"the receipt of bundle {identity} of {places.project} for this code is not valid", hint)
    return found


def stored(places: Places, identity: str) -> Receipt | None:
    """The receipt of a bundle for this code, or None; for verbs that describe a bundle and do not answer."""
    try:
        return require(places, identity)
    except GateError:
        return None


def load(places: Places, folder: Path) -> Bundle:
    """Verify a bundle, require its receipt for this code, and load it: used by everything that answers.

    Raises:
        GateError: for a bundle that was edited, or that this code has no receipt for.
    """
    require(places, bundle.verify(folder).id)
    return bundle.open_verified(folder)


def make(loaded: Bundle, frozen: Path, progress: Progress) -> Receipt:
    """Send the snapshot's request rows through JSON and the request path, and compare the features with the warehouse's.

    Exact for integers, text and booleans; doubles within 1e-12 or a part in 1e9. The network's answers on the reference rows are
    compared with those that were packaged, and the contract's example must be answered.
    """
    from ml import answers  # torch takes seconds, and most verbs only read a receipt

    contract = loaded.contract
    requests, expected = pq.read_table(frozen / "requests.parquet"), pq.read_table(frozen / "expected.parquet")
    key = contract.only("key")
    if requests[key].to_pylist() != expected[key].to_pylist():
        raise SkewlessError(
            "the frozen requests and features are not of the same rows", "the snapshot is damaged; delete it and take it again"
        )
    names, problems = [column.name for column in contract.inputs], []
    refused: set[int] = set()
    parts, kept = [], []
    for start in range(0, requests.num_rows, REQUEST_ROWS):
        part = requests.slice(start, REQUEST_ROWS)
        body = json.dumps([request_row(row) for row in part.select(names).to_pylist()])
        answered = answers.answer(loaded, answers.decode(body))
        for refusal in answered.refusals:
            problems.append(f"{key} {part[key][refusal.row]} is refused: {refusal.field} breaks {refusal.rule} with {refusal.value!r}")
            refused.add(start + refusal.row)
        parts.append(answered.features)
        kept.append(answered.rows + start)
        progress("receipt", start + part.num_rows, requests.num_rows)
    answered_rows = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    online, warehouse = pa.concat_tables(parts), expected.take(pa.array(answered_rows))
    total = sum(json.loads((frozen / "snapshot.json").read_text())["counts"].values())
    if requests.num_rows < min(MIN_ROWS, total):
        problems.append(f"only {requests.num_rows:,} of {total:,} rows were frozen, and {MIN_ROWS:,} are needed")
    features = {
        name: compare(warehouse[name], online[name], warehouse[key], "warehouse", "online", ABSOLUTE, RELATIVE)
        for name in (column.name for column in contract.features)
    }
    problems += [
        f"{name} differs in {found.differing:,} of {requests.num_rows:,} rows, at worst {found.worst}"
        for name, found in features.items()
        if found.differing
    ]
    predictions = _predictions(loaded)
    if predictions.differing:
        problems.append(f"the network answers {predictions.differing:,} reference rows otherwise than before, at worst {predictions.worst}")
    example = _example(loaded, contract)
    problems += [example] if isinstance(example, str) else []
    code = request_code()
    return Receipt(
        ok=not problems,
        verdict="; ".join(problems[:5]) or f"{requests.num_rows:,} rows, {len(features)} features: online equals warehouse",
        bundle=loaded.id,
        snapshot=bundle.about(loaded.folder).snapshot,
        code=code.id,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=requests.num_rows,
        refused=len(refused),
        features=features,
        predictions=predictions,
        example=example if isinstance(example, dict) else None,
        versions=code.versions,
    )


def _example(loaded: Bundle, contract: Contract) -> dict[str, Any] | str:
    """The prediction for the contract's example, or what is wrong with that."""
    from ml import answers

    row = contract.example()
    answered = answers.answer(loaded, [answers.decode(json.dumps(request_row(row)))], whole=True)
    if answered.refusals:
        said = answered.refusals[0]
        return f"the contract's example is refused: {said.message}; give the inputs of {contract.request_relation} an example each"
    return {"row": request_row(row), "prediction": float(answered.predictions.prediction[0])}


def _predictions(loaded: Bundle) -> Compared:
    """The predictions of the reference rows now, against those that were packaged."""
    from ml import predictor

    reference = pq.read_table(loaded.folder / "reference.parquet")
    now = predictor.predict(loaded.model, reference.drop_columns(["prediction"])).prediction
    numbers = pa.chunked_array([pa.array(range(reference.num_rows))])
    return compare(reference["prediction"], pa.chunked_array([pa.array(now)]), numbers, "packaged", "now", ABSOLUTE, NETWORK_RELATIVE)


def compare(
    expected: pa.ChunkedArray, actual: pa.ChunkedArray, keys: pa.ChunkedArray, left: str, right: str, absolute: float, relative: float
) -> Compared:
    """Where two columns differ, and by how much at worst; doubles may differ by `absolute` or `relative`, nothing else at all."""
    if pa.types.is_floating(expected.type):
        one, other = expected.cast(pa.float64()).to_numpy(), actual.cast(pa.float64()).to_numpy()
        both, either = np.isnan(one) & np.isnan(other), np.isnan(one) != np.isnan(other)
        distance = np.where(both | either, 0.0, np.abs(one - other))
        scale = np.maximum(np.abs(one), np.abs(other))
        bad = either | ((distance > absolute) & (distance > relative * np.where(scale > 0, scale, 1)))
        worst_index = int(np.argmax(np.where(either, np.inf, distance))) if len(distance) else 0
        largest = float(distance.max()) if len(distance) else 0.0
    else:
        same = pc.fill_null(pc.equal(expected, actual.cast(expected.type)), False)
        nulls = pc.and_(pc.is_null(expected), pc.is_null(actual))
        bad = ~pc.or_(same, nulls).to_numpy()
        worst_index = int(np.argmax(bad)) if len(bad) else 0
        largest = 1.0 if bad.any() else 0.0
    worst = None
    if bad.any():
        worst = f"{left} {expected[worst_index].as_py()!r}, {right} {actual[worst_index].as_py()!r} at {keys[worst_index].as_py()}"
    return Compared(int(bad.sum()), largest, worst)
