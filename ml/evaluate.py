"""Metrics by split and slice, baselines on the same rows, bootstrap intervals that resample whole groups."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ml import answer, dataset, encoding, storage
from ml import contract as contracts
from ml.contract import Contract
from ml.encoding import Encoding
from ml.errors import GateError
from ml.hashing import hash_json
from ml.storage import Storage

SPLITS = ("test", "production")
RESAMPLES = 1000
BOOSTING: dict[str, Any] = {"max_iter": 300, "learning_rate": 0.06, "max_leaf_nodes": 31, "early_stopping": False, "random_state": 0}
BOOSTING_ROWS = 1_000_000  # scikit-learn holds its rows in memory; a prefix of the shards is a nested sample
BASELINES_FORMAT = 1
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Answers:
    """One split: float64 arrays [rows] of the truth and the answer, and int64 [rows] the index of the row's group."""

    truth: np.ndarray
    answer: np.ndarray
    group: np.ndarray
    groups: int


def evaluate(where: Storage, project: str, progress: Progress) -> tuple[dict[str, Any], bool]:
    """The metrics of the current run, and whether they stood already.

    The test split is read here and nowhere else in training.
    """
    pointer = storage.read_json(where, where.own(project, "run.json"))
    if pointer is None:
        raise GateError(f"project {project} has no training run in workspace {where.workspace}", f"run: skewless train {project}")
    run_key = where.own(project, "runs", pointer["id"])
    here = Path(__file__)
    code = hashlib.sha256(here.read_bytes() + here.with_name("answer.py").read_bytes()).hexdigest()[:12]
    key = f"{run_key}.metrics.json"
    known = storage.read_json(where, key)
    if known and known["code"] == code:
        return known, True
    folder = storage.fetch(where, where.own(project, "snapshots", pointer["snapshot"]))
    contract = contracts.load(folder / "contract.json")
    model = answer.load_network(storage.fetch(where, run_key), contract)
    baselines = _baselines(where, pointer["snapshot"], contract, folder, model.encoding, progress)

    metrics: dict[str, Any] = {
        "project": project,
        "task": contract.task,
        "target": contract.only("target"),
        "run": pointer["id"],
        "snapshot": pointer["snapshot"],
        "code": code,
    }
    metrics["baselines"] = {name: {} for name in baselines}
    for split in SPLITS:
        if not dataset.shards(folder, split):
            metrics[split] = None
            continue
        answers, parts = _answers(model, contract, folder, split, progress)
        metrics[split] = {**_metrics(answers, contract.task), **parts}
        prefix = "" if split == "test" else "production_"
        for name, by_split in baselines.items():
            other = Answers(answers.truth, by_split[split], answers.group, answers.groups)
            own = _metrics(other, contract.task)
            metrics["baselines"][name] |= {f"{prefix}{metric}": value for metric, value in own.items() if metric not in ("rows", "groups")}
            metrics["baselines"][name][f"{prefix}difference"] = _difference(answers, other, contract.task)
    storage.write_json(where, key, metrics)
    return metrics, False


def _answers(model: answer.Model, contract: Contract, folder: Path, split: str, progress: Progress) -> tuple[Answers, dict[str, Any]]:
    truth: list[np.ndarray] = []
    predictions: list[np.ndarray] = []
    inside: list[np.ndarray] = []
    width: list[np.ndarray] = []
    groups: list[str] = []
    names: dict[str, list[Any]] = {name: [] for name in contract.slices}
    total, done = dataset.count_rows(folder, split), 0
    for batch in dataset.record_batches(folder, split):
        predicted = answer.predict(model, batch)
        truth.append(dataset.target_values(batch, contract.only("target")))
        predictions.append(predicted.prediction)
        groups.extend(str(value) for value in batch[contract.only("group")].to_pylist())
        if predicted.lower is not None and predicted.upper is not None:
            inside.append((truth[-1] >= predicted.lower) & (truth[-1] <= predicted.upper))
            width.append(predicted.upper - predicted.lower)
        for name, values in names.items():
            values.extend(batch[name].to_pylist())
        done += batch.num_rows
        progress(f"evaluating {split}", done, total)
    unique, index = np.unique(np.array(groups), return_inverse=True)
    answers = Answers(np.concatenate(truth), np.concatenate(predictions), index, len(unique))
    extra: dict[str, Any] = {}
    if inside:
        extra = {"coverage": float(np.concatenate(inside).mean()), "interval_width": float(np.concatenate(width).mean())}
    extra["slices"] = {
        name: _by_slice(answers, np.array([str(value) for value in values]), contract.task) for name, values in names.items()
    }
    return answers, extra


def _loss(answers: Answers, task: str) -> np.ndarray:
    """The loss of each row, float64 [rows]: squared error, or log loss."""
    if task == "regression":
        return (answers.truth - answers.answer) ** 2
    probability = np.clip(answers.answer, 1e-12, 1 - 1e-12)
    return -(answers.truth * np.log(probability) + (1 - answers.truth) * np.log(1 - probability))


def _summary(mean_loss: Any, task: str) -> Any:
    return np.sqrt(mean_loss) if task == "regression" else mean_loss


def _metrics(answers: Answers, task: str) -> dict[str, Any]:
    name = "rmse" if task == "regression" else "log_loss"
    loss = _loss(answers, task)
    resampled = _summary(_resampled(loss, answers), task)
    found: dict[str, Any] = {
        "rows": len(loss),
        "groups": answers.groups,
        name: float(_summary(loss.mean(), task)),
        f"{name}_interval": _interval(resampled),
    }
    if task == "regression":
        found["mae"] = float(np.abs(answers.truth - answers.answer).mean())
    else:
        from sklearn.metrics import roc_auc_score

        both = len(np.unique(answers.truth)) == 2
        found["auc"] = float(roc_auc_score(answers.truth, answers.answer)) if both else None
    return found


def _difference(ours: Answers, theirs: Answers, task: str) -> dict[str, Any]:
    """Ours less theirs, negative when ours is better, with the interval of paired resampling of groups."""
    own, other = _loss(ours, task), _loss(theirs, task)
    resampled = _summary(_resampled(own, ours), task) - _summary(_resampled(other, theirs), task)
    return {"point": float(_summary(own.mean(), task) - _summary(other.mean(), task)), "interval": _interval(resampled)}


def _resampled(loss: np.ndarray, answers: Answers) -> np.ndarray:
    """Mean loss of RESAMPLES bootstrap samples of whole groups; the same draws for all that share their groups."""
    sums = np.bincount(answers.group, loss, answers.groups)
    counts = np.bincount(answers.group, minlength=answers.groups)
    draws = np.random.default_rng(0).integers(0, answers.groups, (RESAMPLES, answers.groups))
    return sums[draws].sum(1) / counts[draws].sum(1)


def _interval(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(values, [0.025, 0.975])]


def _by_slice(answers: Answers, values: np.ndarray, task: str) -> dict[str, dict[str, Any]]:
    loss = _loss(answers, task)
    name = "rmse" if task == "regression" else "log_loss"
    return {
        str(value): {"rows": int((values == value).sum()), name: float(_summary(loss[values == value].mean(), task))}
        for value in np.unique(values)
    }


def _baselines(
    where: Storage, snapshot_id: str, contract: Contract, folder: Path, fitted: Encoding, progress: Progress
) -> dict[str, dict[str, np.ndarray]]:
    """Answers of each baseline by split; they depend on the snapshot alone, so they are kept beside it."""
    identity = hash_json([BASELINES_FORMAT, snapshot_id, BOOSTING, importlib.metadata.version("scikit-learn")])[:12]
    key = where.own(contract.project, "baselines", f"{identity}.npz")
    if not storage.exists(where, key):
        progress("fitting the baselines", 0, 0)
        fitters = {"mean": _fit_mean, "gradient_boosting": _fit_boosting}
        if contract.baseline:
            fitters = {"mean": _fit_mean, "linear": _fit_linear, "gradient_boosting": _fit_boosting}
        arrays: dict[str, np.ndarray] = {}
        for name, fit in fitters.items():
            predict = fit(contract, folder, fitted)
            for split in SPLITS:
                parts = [predict(batch) for batch in dataset.record_batches(folder, split)]
                if parts:
                    arrays[f"{name}.{split}"] = np.concatenate(parts)

        def write(path: Path) -> None:
            with open(path, "wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

        storage.write_file(where, key, write)
    with np.load(storage.fetch(where, key)) as file:
        found: dict[str, dict[str, np.ndarray]] = {}
        for full in file.files:
            name, _, split = full.partition(".")
            found.setdefault(name, {})[split] = file[full]
        return found


Predict = Callable[[pa.RecordBatch], np.ndarray]


def _fit_mean(contract: Contract, folder: Path, fitted: Encoding) -> Predict:
    total, count = 0.0, 0
    for batch in dataset.record_batches(folder, "train"):
        values = dataset.target_values(batch, contract.only("target"))
        total, count = total + float(values.sum()), count + len(values)
    return lambda batch: np.full(batch.num_rows, total / count)


def _fit_linear(contract: Contract, folder: Path, fitted: Encoding) -> Predict:
    """A line (or a logistic curve) on the declared baseline feature; its train mean where it is missing."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    assert contract.baseline is not None
    name, target = contract.baseline, contract.only("target")
    pairs = [(encoding.column(batch, name), dataset.target_values(batch, target)) for batch in _bounded(folder)]
    values, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    mean = float(np.nanmean(values))
    design = np.nan_to_num(values, nan=mean)[:, None]
    line = (LinearRegression() if contract.task == "regression" else LogisticRegression()).fit(design, truth)

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        design = np.nan_to_num(encoding.column(batch, name), nan=mean)[:, None]
        return line.predict(design) if contract.task == "regression" else line.predict_proba(design)[:, 1]

    return predict


def _fit_boosting(contract: Contract, folder: Path, fitted: Encoding) -> Predict:
    """scikit-learn's histogram gradient boosting on the network's own features and residual target, in one fixed setting."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    names = list(contract.categorical)
    small = [cardinality <= 255 for cardinality in fitted.cardinalities]  # its limit; larger ones go in as numbers
    mask = [False] * len(fitted.numerical) + small

    def design(batch: pa.RecordBatch) -> np.ndarray:
        values = [encoding.column(batch, name) for name in fitted.numerical]
        codes = encoding.encode(fitted, batch)[1]
        return np.column_stack([*values, *(codes[:, index].astype(float) for index in range(len(names)))])

    pairs = [(design(batch), encoding.residual(batch, fitted.target, fitted.baseline)) for batch in _bounded(folder)]
    matrix, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    kind = HistGradientBoostingRegressor if contract.task == "regression" else HistGradientBoostingClassifier
    trees = kind(categorical_features=mask, **BOOSTING).fit(matrix, truth)

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        if contract.task == "binary":
            return trees.predict_proba(design(batch))[:, 1]
        return trees.predict(design(batch)) + encoding.offset(batch, fitted.baseline)

    return predict


def _bounded(folder: Path) -> Iterator[pa.RecordBatch]:
    left = BOOSTING_ROWS
    for batch in dataset.record_batches(folder, "train"):
        if left <= 0:
            return
        yield batch.slice(0, min(left, batch.num_rows))
        left -= batch.num_rows
