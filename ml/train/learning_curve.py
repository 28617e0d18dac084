"""The learning curve: the tuning error of networks trained on nested samples, which says what more data would buy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ml import contract as contracts
from ml import dataset, predictor, records, storage, train
from ml.contract import Contract
from ml.metrics import Answers, answers_of, metric_name, metrics
from ml.places import Places
from ml.results import Curve, Point
from ml.storage import Storage
from ml.train import TrainConfig

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
MAX_EPOCHS = 8  # times the epochs of the whole: a small sample gets more passes, or it would only show too few steps
MIN_ROWS = 50
Progress = Callable[[str, float, float], None]


def curve(where: Storage, project: str, snapshot_id: str, config: TrainConfig, progress: Progress) -> tuple[Curve, bool]:
    """The learning curve, and whether all of its points were known already.

    The error is that of the tuning half of validation, its interval by resampled groups. Each point is a run of its own,
    kept like any other; none becomes the current one.
    """
    places = Places(where, project)
    folder = storage.fetch(where, places.snapshot(snapshot_id))
    contract = contracts.load(folder / "contract.json")
    unchanged = True
    points: list[Point] = []
    for share in SHARES:
        epochs = round(config.epochs * min(1 / share, MAX_EPOCHS))
        rows = dataset.count_sampled(folder, contract, share)
        if rows < MIN_ROWS:
            continue

        def named(label: str, done: float, total: float, share: float = share) -> None:
            progress(f"{share:.0%} of train, {label}", done, total)

        run = train.train(where, project, snapshot_id, replace(config, sample=share, epochs=epochs), named, current=False)
        unchanged = unchanged and run.unchanged
        model = predictor.load_network(storage.fetch(where, run.key), contract)
        found = metrics(_tuning_answers(model, contract, folder), contract.task)
        points.append(Point(share, rows, found.error, found.interval, run.id))
    record = Curve(project, snapshot_id, metric_name(contract.task), contract.only("target"), tuple(points))
    storage.write_json(where, places.curve(), records.to_json(record))
    return record, unchanged


def _tuning_answers(model: predictor.Model, contract: Contract, folder: Path) -> Answers:
    truth, predictions, groups = [], [], []
    for batch in dataset.validation_half(folder, contract, "tuning"):
        truth.append(dataset.target_values(batch, contract.only("target")))
        predictions.append(predictor.predict(model, batch).prediction)
        groups += [str(value) for value in batch[contract.only("group")].to_pylist()]
    return answers_of(np.concatenate(truth), np.concatenate(predictions), groups)
