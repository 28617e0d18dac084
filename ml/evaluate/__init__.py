"""Errors of a trained network by split and slice, with those of the baselines on the same rows, and the project's gates."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import contract as contracts
from ml import dataset, predictor, provenance, records, storage
from ml.contract import Contract
from ml.evaluate import baselines
from ml.evaluate.slices import in_order, labels
from ml.hashing import hash_tree
from ml.metrics import Answers, Difference, SplitMetrics, answers_of, by_slice, difference, metrics
from ml.places import Places
from ml.results import SPLITS, Baseline, Gate, Metrics
from ml.storage import Storage

KEPT_ROWS = 50_000  # of each split, for pictures; a prefix of the shards is a random sample
__all__ = ["SPLITS", "evaluate", "gates", "snapshot_of"]
Progress = Callable[[str, float, float], None]


def evaluate(where: Storage, project: str, run: str, progress: Progress) -> tuple[Metrics, bool]:
    """The metrics of a run, and whether they were stored already.

    The test split is read here and nowhere else in training.
    """
    places = Places(where, project)
    trained, snapshot = storage.fetch(where, places.run(run)), snapshot_of(places, run)
    code = provenance.key("ml.evaluate", run=hash_tree(trained), snapshot=snapshot)
    key = places.metrics(run)
    known = storage.read_json(where, key)
    if known and known.get("code") == code:
        return records.from_json(Metrics, known), True
    folder = storage.fetch(where, places.snapshot(snapshot))
    contract = contracts.load(folder / "contract.json")
    model = predictor.load_network(trained, contract)
    others = baselines.answers(places, snapshot, contract, folder, model.encoding, SPLITS, progress)

    samples: list[pa.Table] = []
    own: dict[str, SplitMetrics] = {}
    compared: dict[str, dict[str, SplitMetrics]] = {name: {} for name in others}
    for split in SPLITS:
        if not dataset.shards(folder, split):
            continue
        answers, own[split], sample = _answers(model, contract, folder, split, progress)
        samples.append(sample)
        for name, by_split in others.items():
            other = Answers(answers.truth, by_split[split], answers.group, answers.groups)
            compared[name][split] = replace(metrics(other, contract.task), difference=difference(answers, other, contract.task))
    found = Metrics(
        project=project,
        task=contract.task,
        target=contract.only("target"),
        run=run,
        snapshot=snapshot,
        code=code,
        test=own["test"],
        out_of_time=own.get("out_of_time"),
        baselines={name: Baseline(by_split["test"], by_split.get("out_of_time")) for name, by_split in compared.items()},
    )
    found = replace(found, gates=gates(found, contract))
    storage.write_file(where, places.answers(run), lambda path: pq.write_table(pa.concat_tables(samples), path, compression="zstd"))
    storage.write_json(where, key, records.to_json(found))
    return found, False


def snapshot_of(places: Places, run: str) -> str:
    """The id of the snapshot that a run was trained on."""
    return str(storage.read_json(places.where, f"{places.run(run)}/training.json")["snapshot"])


def _answers(
    model: predictor.Model, contract: Contract, folder: Path, split: str, progress: Progress
) -> tuple[Answers, SplitMetrics, pa.Table]:
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
    by_label = {name: by_slice(answers, np.concatenate(parts), inside, contract.task) for name, parts in named.items()}
    slices = {name: {label: entries[label] for label in sorted(entries, key=in_order)} for name, entries in by_label.items()}
    found = replace(metrics(answers, contract.task), slices=slices)
    if inside is not None:
        found = replace(found, coverage=float(inside.mean()), interval_width=float(np.concatenate(width).mean()))
    kept = {"truth": answers.truth, "prediction": answers.answer}
    kept |= {"lower": np.concatenate(lower), "upper": np.concatenate(upper)} if lower else {}
    sample = pa.table({name: values[:KEPT_ROWS].astype(np.float32) for name, values in kept.items()})
    return answers, found, sample.append_column("split", pa.array([split] * sample.num_rows))


def gates(found: Metrics, contract: Contract) -> tuple[Gate, ...]:
    """What the project's `meta.ml.gates` ask of the numbers.

    `boosting`: on test not worse than gradient boosting, by at most this share of its error and not beyond doubt.
    `linear_out_of_time`: on out-of-time rows better than the straight line, in the point estimate.
    `coverage`: the intervals' coverage of test is between the two.
    """
    judged: list[Gate] = []
    if "boosting" in contract.gates:
        other, most = found.baselines["gradient_boosting"].test, contract.gates["boosting"]
        gap = _difference(other)
        share = gap.point / other.error
        text = f"{gap} against gradient boosting on test, {share:+.1%} of its error; at most {most:.0%}, and not beyond doubt"
        judged.append(Gate("boosting", gap.interval[0] <= 0 and share <= most, text))
    if contract.gates.get("linear_out_of_time") and "linear" in found.baselines:
        line = found.baselines["linear"].out_of_time
        if line:
            gap = _difference(line)
            judged.append(Gate("linear_out_of_time", gap.point < 0, f"{gap} against the line out of time; below 0"))
    if "coverage" in contract.gates and found.test.coverage is not None:
        low, high = contract.gates["coverage"]
        covered = found.test.coverage
        judged.append(Gate("coverage", low <= covered <= high, f"{covered:.1%} of test; between {low:.0%} and {high:.0%}"))
    return tuple(judged)


def _difference(baseline: SplitMetrics) -> Difference:
    assert baseline.difference is not None
    return baseline.difference
