"""Metrics, intervals and baselines, on numbers that can be checked by hand and on the toy."""

import json

import numpy as np
import pytest
from conftest import Checkout

from ml import metrics
from ml.metrics import Answers


def answers(truth: list[float], answer: list[float], group: list[int]) -> Answers:
    return Answers(np.array(truth, float), np.array(answer, float), np.array(group), len(set(group)))


def test_rmse_and_mae_are_the_textbooks() -> None:
    found = metrics.metrics(answers([0, 0, 0, 0], [1, -1, 3, -3], [0, 0, 1, 1]), "regression")
    assert found.rmse == pytest.approx(5**0.5) and found.mae == 2


def test_log_loss_and_auc_are_the_textbooks() -> None:
    found = metrics.metrics(answers([0, 1, 1, 0], [0.2, 0.9, 0.4, 0.5], [0, 1, 2, 3]), "binary")
    assert found.log_loss == pytest.approx(-np.log([0.8, 0.9, 0.4, 0.5]).mean()) and found.auc == 0.75


def test_intervals_resample_whole_groups() -> None:
    generator = np.random.default_rng(0)
    effect = np.repeat(generator.normal(0, 1, 30), 100)
    grouped = metrics.metrics(answers(list(effect), [0.0] * 3000, list(np.repeat(range(30), 100))), "regression")
    single = metrics.metrics(answers(list(effect), [0.0] * 3000, list(range(3000))), "regression")
    width = {name: found.interval[1] - found.interval[0] for name, found in (("grouped", grouped), ("single", single))}
    assert width["grouped"] > 5 * width["single"]


def test_a_paired_difference_is_sharper_than_its_parts() -> None:
    generator = np.random.default_rng(1)
    truth = np.repeat(generator.normal(0, 10, 40), 50)
    noise = generator.normal(0, 1, 2000)
    group = list(np.repeat(range(40), 50))
    first, second = answers(list(truth), list(noise), group), answers(list(truth), list(noise * 1.05), group)
    difference = metrics.difference(first, second, "regression")
    own = metrics.metrics(first, "regression").interval
    assert difference.interval[0] <= difference.point <= difference.interval[1]
    assert difference.interval[1] - difference.interval[0] < 0.1 * (own[1] - own[0])


def test_equal_answers_differ_by_nothing() -> None:
    one = answers([1, 2, 3, 4], [1, 1, 1, 1], [0, 0, 1, 1])
    assert metrics.difference(one, one, "regression") == metrics.Difference(0.0, (0.0, 0.0))


def test_the_object_holds_splits_and_baselines_on_the_same_rows(lived: Checkout) -> None:
    said = lived.json("evaluate", "toy")
    assert set(said["baselines"]) == {"mean", "linear", "gradient_boosting"}
    for split in ("test", "out_of_time"):
        assert said[split]["rows"] > 30 and said[split]["log_loss"] > 0 and 0.5 < said[split]["auc"] <= 1
        for baseline in said["baselines"].values():
            gap = baseline[split]["difference"]
            assert gap["point"] == pytest.approx(said[split]["log_loss"] - baseline[split]["log_loss"])
            assert baseline[split]["rows"] == said[split]["rows"]
    assert said["baselines"]["mean"]["test"]["auc"] == 0.5
    assert set(said["test"]["slices"]["carrier"]) >= {"swift", "steady", "slow"}
    assert sum(entry["rows"] for entry in said["test"]["slices"]["carrier"].values()) == said["test"]["rows"]


def test_baselines_are_fitted_once_for_a_snapshot(lived: Checkout) -> None:
    (kept,) = (lived.own / "baselines").iterdir()
    stamp = kept.stat().st_mtime_ns
    lived.json("train", "toy", "--epochs", "2")
    lived.json("evaluate", "toy")
    assert kept.stat().st_mtime_ns == stamp


def test_the_mean_baseline_is_the_train_splits_share(lived: Checkout) -> None:
    snapshot = json.loads((lived.own / "snapshot.json").read_text())["id"]
    import pyarrow.parquet as pq

    late = pq.read_table(lived.own / "snapshots" / snapshot / "features" / "train-0000.parquet")["is_late"].to_pylist()
    (kept,) = (lived.own / "baselines").iterdir()
    assert np.load(kept)["mean.test"] == pytest.approx(sum(late) / len(late))
