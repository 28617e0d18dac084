"""Training on the toy's frozen snapshot: the same weights from the same things, whatever happens in between."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Checkout
from safetensors.torch import load_file

from ml import contract, dataset, encoding, storage
from ml.hashing import BUCKETS, hash_bucket
from ml.network import LogitHead
from ml.places import Places, identity


def snapshot_of(lived: Checkout) -> tuple[Path, contract.Contract]:
    places = Places(storage.open_storage(str(lived.root), "default"), "toy")
    folder = storage.fetch(places.where, places.snapshot(identity(places, "snapshot")))
    return folder, contract.load(folder / "contract.json")


def weights_of(lived: Checkout, run_id: str) -> dict[str, torch.Tensor]:
    return load_file(lived.own / "runs" / run_id / "weights.safetensors")


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def retrain(lived: Checkout, *options: str) -> dict[str, torch.Tensor]:
    """Train again, as if there were no such run."""
    run_id = lived.json("train", "toy", *options)["run"]
    for path in (lived.own / "runs").glob(f"{run_id}*"):
        subprocess.run(["rm", "-r", str(path)], check=True)
    assert lived.json("train", "toy", *options)["run"] == run_id
    return weights_of(lived, run_id)


def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_seed_others(lived: Checkout) -> None:
    first, second = retrain(lived, "--epochs", "4"), retrain(lived, "--epochs", "4")
    assert same(first, second)
    assert not same(first, retrain(lived, "--epochs", "4", "--seed", "1"))


def test_a_killed_run_continues_to_the_weights_of_an_uninterrupted_one(lived: Checkout) -> None:
    lived.edit("ml/train/__init__.py", "patience: int = 6", "patience: int = 400")
    options = ("--epochs", "100", "--seed", "5")
    process = subprocess.Popen(lived.command("train", "toy", *options), cwd=lived.folder, env=lived.environment(), start_new_session=True)
    until = time.monotonic() + 60
    while time.monotonic() < until and not list((lived.own / "runs").glob("*.checkpoint")):
        time.sleep(0.02)
    time.sleep(0.3)
    assert process.poll() is None, "the run was over before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list((lived.own / "runs").glob("*.checkpoint"))
    resumed = lived.json("train", "toy", *options)
    history = json.loads((lived.own / "runs" / resumed["run"] / "training.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == list(range(100))
    assert not list((lived.own / "runs").glob("*.checkpoint"))
    killed = weights_of(lived, resumed["run"])
    assert same(killed, retrain(lived, *options))


def test_training_reads_neither_test_nor_out_of_time(lived: Checkout) -> None:
    before = retrain(lived, "--epochs", "3")
    folder, _ = snapshot_of(lived)
    hidden = [path for split in ("test", "out_of_time") for path in dataset.shards(folder, split)]
    assert hidden
    for path in hidden:
        path.rename(path.with_suffix(".hidden"))
    try:
        assert same(before, retrain(lived, "--epochs", "3"))
    finally:
        for path in hidden:
            path.with_suffix(".hidden").rename(path)


def test_the_halves_of_validation_share_no_group_and_leave_none_out(lived: Checkout) -> None:
    folder, declared = snapshot_of(lived)
    groups = {
        half: {value for batch in dataset.validation_half(folder, declared, half) for value in batch["sent_on"].to_pylist()}
        for half in ("tuning", "calibration")
    }
    everything = {value for batch in dataset.record_batches(folder, "validation") for value in batch["sent_on"].to_pylist()}
    assert not groups["tuning"] & groups["calibration"]
    assert groups["tuning"] | groups["calibration"] == everything and all(groups.values())


def test_splits_share_no_group_and_follow_the_hash(lived: Checkout) -> None:
    folder, _ = snapshot_of(lived)
    groups = {
        split: {value for batch in dataset.record_batches(folder, split) for value in batch["sent_on"].to_pylist()}
        for split in ("train", "validation", "test", "out_of_time")
    }
    assert all(not groups[a] & groups[b] for a in groups for b in groups if a < b)
    for split, (low, high) in {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}.items():
        assert all(low <= hash_bucket("skewless-split", group) / BUCKETS < high for group in groups[split])
    assert min(groups["out_of_time"]) >= "2024-04-10" > max(groups["train"])


def test_an_epoch_shows_every_train_row_once_in_an_order_of_its_own(lived: Checkout) -> None:
    folder, declared = snapshot_of(lived)
    fitted = encoding.fit(declared, dataset.record_batches(folder, "train"))
    rows = dataset.count_rows(folder, "train")

    def numbers(epoch: int) -> np.ndarray:
        return np.concatenate(
            [batch.numerical.numpy() for batch in dataset.training_batches(dataset.record_batches(folder, "train"), fitted, 50, 0, epoch)]
        )

    first, again, second = numbers(0), numbers(0), numbers(1)
    assert len(first) == rows and np.array_equal(first, again) and not np.array_equal(first, second)
    assert np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))


@pytest.mark.parametrize("slope", [0.3, 1.0, 4.0])
def test_platt_scaling_finds_the_slope_that_spoiled_the_logits(slope: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, 40_000)
    target = (generator.random(40_000) < 1 / (1 + np.exp(-(slope * logits - 0.5)))).astype(float)
    found = LogitHead().calibrate(torch.from_numpy(logits[:, None]), torch.from_numpy(target))
    assert found["scale"] == pytest.approx(slope, rel=0.08) and found["shift"] == pytest.approx(-0.5, abs=0.08)
