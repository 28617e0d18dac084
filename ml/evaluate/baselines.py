"""What the network must be better than: the mean, a line on one declared feature, gradient boosting, each fitted on train."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ml import dataset, encoding, provenance, storage
from ml.contract import Contract
from ml.encoding import Encoding
from ml.places import Places

BOOSTING: dict[str, Any] = {"max_iter": 300, "learning_rate": 0.06, "max_leaf_nodes": 31, "early_stopping": False, "random_state": 0}
BOOSTING_ROWS = 1_000_000  # scikit-learn holds its rows in memory; a prefix of the shards is a nested sample
Predict = Callable[[pa.RecordBatch], np.ndarray]
Progress = Callable[[str, float, float], None]


def answers(
    places: Places, snapshot_id: str, contract: Contract, folder: Path, fitted: Encoding, splits: tuple[str, ...], progress: Progress
) -> dict[str, dict[str, np.ndarray]]:
    """Answers of each baseline by split; they depend on the snapshot and on the encoding of the run, whose codes the trees see."""
    where = places.where
    made_from = provenance.key("ml.evaluate.baselines", snapshot=snapshot_id, encoding=encoding.to_json(fitted), splits=splits)
    key = places.baselines(made_from)
    if not storage.exists(where, key):
        progress("fitting the baselines", 0, 0)
        fitters = {"mean": _fit_mean, "gradient_boosting": _fit_boosting}
        if contract.baseline:
            fitters = {"mean": _fit_mean, "linear": _fit_linear, "gradient_boosting": _fit_boosting}
        arrays: dict[str, np.ndarray] = {}
        for name, fit in fitters.items():
            predict = fit(contract, folder, fitted)
            for split in splits:
                parts = [predict(batch) for batch in dataset.record_batches(folder, split)]
                if parts:
                    arrays[f"{name}.{split}"] = np.concatenate(parts)

        def write(path: Path) -> None:
            with open(path, "wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # by its stub every name is allow_pickle

        storage.write_file(where, key, write)
    with np.load(storage.fetch(where, key)) as file:
        found: dict[str, dict[str, np.ndarray]] = {}
        for full in file.files:
            name, _, split = full.partition(".")
            found.setdefault(name, {})[split] = file[full]
        return found


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
    known = ~np.isnan(matrix).all(axis=0)  # it cannot bin a feature that has no value at all
    kind = HistGradientBoostingRegressor if contract.task == "regression" else HistGradientBoostingClassifier
    trees = kind(categorical_features=np.array(mask)[known], **BOOSTING).fit(matrix[:, known], truth)

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        if contract.task == "binary":
            return trees.predict_proba(design(batch)[:, known])[:, 1]
        return trees.predict(design(batch)[:, known]) + encoding.offset(batch, fitted.baseline)

    return predict


def _bounded(folder: Path) -> Iterator[pa.RecordBatch]:
    return dataset.first(dataset.record_batches(folder, "train"), BOOSTING_ROWS)
