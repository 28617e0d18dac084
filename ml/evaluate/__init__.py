"""What a trained network is worth: errors by split and slice beside the baselines on the same rows, and the project's gates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import contract as contracts
from ml import dataset, predictor, provenance, storage
from ml.contract import Contract
from ml.evaluate import baselines
from ml.evaluate.slices import in_order, labels
from ml.hashing import hash_tree
from ml.metrics import Answers, answers_of, by_slice, difference, metric_name, metrics
from ml.places import Places
from ml.storage import Storage

SPLITS = ("test", "out_of_time")
KEPT_ROWS = 50_000  # of each split, for pictures; a prefix of the shards is a random sample
Progress = Callable[[str, float, float], None]


def evaluate(where: Storage, project: str, run: str, progress: Progress) -> tuple[dict[str, Any], bool]:
    """The metrics of a run, and whether they were stored already.

    The test split is read here and nowhere else in training.
    """
    places = Places(where, project)
    trained, snapshot = storage.fetch(where, places.run(run)), snapshot_of(places, run)
    code = provenance.key("ml.evaluate", run=hash_tree(trained), snapshot=snapshot)
    key = places.metrics(run)
    known = storage.read_json(where, key)
    if known and known["code"] == code:
        return known, True
    folder = storage.fetch(where, places.snapshot(snapshot))
    contract = contracts.load(folder / "contract.json")
    model = predictor.load_network(trained, contract)
    others = baselines.answers(places, snapshot, contract, folder, model.encoding, SPLITS, progress)

    found: dict[str, Any] = {
        "project": project,
        "task": contract.task,
        "target": contract.only("target"),
        "run": run,
        "snapshot": snapshot,
        "code": code,
    }
    samples: list[pa.Table] = []
    found["baselines"] = {name: {} for name in others}
    for split in SPLITS:
        if not dataset.shards(folder, split):
            found[split] = None
            continue
        answers, parts, sample = _answers(model, contract, folder, split, progress)
        samples.append(sample)
        found[split] = {**metrics(answers, contract.task), **parts}
        prefix = "" if split == "test" else "out_of_time_"
        for name, by_split in others.items():
            other = Answers(answers.truth, by_split[split], answers.group, answers.groups)
            own = metrics(other, contract.task)
            found["baselines"][name] |= {f"{prefix}{metric}": value for metric, value in own.items() if metric not in ("rows", "groups")}
            found["baselines"][name][f"{prefix}difference"] = difference(answers, other, contract.task)
    found["gates"] = gates(found, contract)
    storage.write_file(where, places.answers(run), lambda path: pq.write_table(pa.concat_tables(samples), path, compression="zstd"))
    storage.write_json(where, key, found)
    return found, False


def snapshot_of(places: Places, run: str) -> str:
    """The id of the snapshot that a run was trained on."""
    return str(storage.read_json(places.where, f"{places.run(run)}/training.json")["snapshot"])


def _answers(
    model: predictor.Model, contract: Contract, folder: Path, split: str, progress: Progress
) -> tuple[Answers, dict[str, Any], pa.Table]:
    truth: list[np.ndarray] = []
    predictions: list[np.ndarray] = []
    lower: list[np.ndarray] = []
    upper: list[np.ndarray] = []
    within: list[np.ndarray] = []
    width: list[np.ndarray] = []
    groups: list[str] = []
    named: dict[str, list[np.ndarray]] = {slice_.name: [] for slice_ in contract.slices}
    total, done = dataset.count_rows(folder, split), 0
    for batch in dataset.record_batches(folder, split):
        predicted = predictor.predict(model, batch)
        truth.append(dataset.target_values(batch, contract.only("target")))
        predictions.append(predicted.prediction)
        groups.extend(str(value) for value in batch[contract.only("group")].to_pylist())
        if predicted.lower is not None and predicted.upper is not None:
            within.append((truth[-1] >= predicted.lower) & (truth[-1] <= predicted.upper))
            width.append(predicted.upper - predicted.lower)
            lower.append(predicted.lower)
            upper.append(predicted.upper)
        for slice_ in contract.slices:
            named[slice_.name].append(labels(slice_, batch))
        done += batch.num_rows
        progress(f"evaluating {split}", done, total)
    answers = answers_of(np.concatenate(truth), np.concatenate(predictions), groups)
    inside = np.concatenate(within) if within else None
    extra: dict[str, Any] = {}
    if inside is not None:
        extra = {"coverage": float(inside.mean()), "interval_width": float(np.concatenate(width).mean())}
    found = {name: by_slice(answers, np.concatenate(parts), inside, contract.task) for name, parts in named.items()}
    extra["slices"] = {name: {label: entries[label] for label in sorted(entries, key=in_order)} for name, entries in found.items()}
    kept = {"truth": answers.truth, "prediction": answers.answer}
    kept |= {"lower": np.concatenate(lower), "upper": np.concatenate(upper)} if lower else {}
    sample = pa.table({name: values[:KEPT_ROWS].astype(np.float32) for name, values in kept.items()})
    return answers, extra, sample.append_column("split", pa.array([split] * sample.num_rows))


def gates(found: dict[str, Any], contract: Contract) -> list[dict[str, Any]]:
    """What the project's `meta.ml.gates` ask of the numbers: name, whether it holds, and a sentence.

    `boosting`: on test not worse than gradient boosting, by at most this share of its error and not beyond doubt.
    `linear_out_of_time`: on out-of-time rows better than the straight line, in the point estimate.
    `coverage`: the intervals' coverage of test lies between the two.
    """
    name, judged = metric_name(contract.task), []
    if "boosting" in contract.gates:
        other = found["baselines"]["gradient_boosting"]
        gap, share = other["difference"], other["difference"]["point"] / other[name]
        ok = gap["interval"][0] <= 0 and share <= contract.gates["boosting"]
        most = contract.gates["boosting"]
        text = f"{_signed(gap)} against gradient boosting on test, {share:+.1%} of its error; at most {most:.0%}, and not beyond doubt"
        judged.append({"name": "boosting", "ok": ok, "says": text})
    if contract.gates.get("linear_out_of_time") and found["out_of_time"] and "linear" in found["baselines"]:
        gap = found["baselines"]["linear"]["out_of_time_difference"]
        judged.append(
            {"name": "linear_out_of_time", "ok": gap["point"] < 0, "says": f"{_signed(gap)} against the line out of time; below 0"}
        )
    if "coverage" in contract.gates and "coverage" in found["test"]:
        low, high = contract.gates["coverage"]
        covered = found["test"]["coverage"]
        judged.append(
            {"name": "coverage", "ok": low <= covered <= high, "says": f"{covered:.1%} of test; between {low:.0%} and {high:.0%}"}
        )
    return judged


def _signed(gap: dict[str, Any]) -> str:
    return f"{gap['point']:+.3g} [{gap['interval'][0]:+.3g}, {gap['interval'][1]:+.3g}]"
