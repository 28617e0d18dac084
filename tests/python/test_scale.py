"""Training on more than fits: nested samples, the learning curve, and memory that does not grow with the snapshot."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CHECKOUT, Checkout

from ml import contract, dataset, storage
from ml.contract import Column, Contract
from ml.places import Places, identity

TRAIN = """
import resource, sys
from ml import dataset, storage
from ml.train import TrainConfig, train
dataset.BUFFER_BATCHES = 2  # what a million rows do to a large buffer, these do to a small one
where, settings = storage.open_storage(sys.argv[1], "default"), TrainConfig(epochs=1, batch_size=8192)
run = train(where, "big", "one", settings, lambda label, done, total: None)
print(run.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def snapshot_of(lived: Checkout) -> tuple[Path, Contract]:
    places = Places(storage.open_storage(str(lived.root), "default"), "toy")
    folder = storage.fetch(places.where, places.snapshot(identity(places, "snapshot")))
    return folder, contract.load(folder / "contract.json")


def keys(lived: Checkout, share: float) -> set[str]:
    folder, declared = snapshot_of(lived)
    return {key for batch in dataset.sampled(folder, declared, share) for key in batch["parcel_id"].to_pylist()}


def test_a_smaller_sample_is_part_of_a_larger_one_and_the_whole_is_the_train_split(lived: Checkout) -> None:
    nested = [keys(lived, share) for share in (0.05, 0.2, 0.5, 1.0)]
    assert all(small < large for small, large in itertools.pairwise(nested))
    folder, _ = snapshot_of(lived)
    assert len(nested[-1]) == dataset.count_rows(folder, "train")
    assert 0.35 < len(nested[2]) / len(nested[3]) < 0.65


def test_a_run_on_a_sample_sees_only_that_sample(lived: Checkout) -> None:
    done = lived.json("train", "toy", "--epochs", "1", "--sample", "0.3")
    assert done["rows"] == len(keys(lived, 0.3))
    assert "--sample must be in (0, 1], got 1.5" in lived.skewless("train", "toy", "--sample", "1.5", code=2)
    assert "holds no row" in lived.skewless("train", "toy", "--sample", "0.000001", code=1)


def test_the_learning_curve_goes_over_nested_samples_and_leaves_the_current_run_alone(lived: Checkout) -> None:
    done = lived.json("train", "toy", "--epochs", "2", "--curve")
    points = done["curve"]["points"]
    assert [point["share"] for point in points] == [0.3, 1.0]  # 1, 3 and 10 % of 336 rows are too few to say anything
    assert points[0]["rows"] < points[1]["rows"] == done["rows"]
    assert all(low <= point["error"] <= high for point in points for low, high in [point["interval"]])
    assert json.loads((lived.own / "run.json").read_text())["id"] == done["run"] == points[-1]["run"]
    assert lived.json("train", "toy", "--epochs", "2", "--curve")["unchanged"]


def write_snapshot(root: Path, rows: int) -> None:
    """A snapshot of invented rows, as `snapshot` would have left it."""
    columns = [Column("key", "text", "key"), Column("day", "text", "group"), Column("at", "timestamp", "time"),
               Column("split", "text", "split"), Column("bucket", "integer", "sample"), Column("y", "double", "target")]  # fmt: skip
    columns += [Column(f"x{number}", "double", "feature", kind="numerical") for number in range(8)]
    declared = Contract("big", "regression", "f", "c", tuple(columns), (Column("x0", "double", "input"),))
    folder = root / "workspaces/default/big/snapshots/one"
    (folder / "features").mkdir(parents=True)
    (folder / "contract.json").write_text(declared.to_json())
    (folder.parents[1] / "snapshot.json").write_text('{"id": "one"}')
    generator = np.random.default_rng(0)
    for split, count in (("train", rows), ("validation", 2_000)):
        schema = None
        for start in range(0, count, 200_000):
            size = min(200_000, count - start)
            table = pa.table(
                {
                    "key": pa.array(np.arange(start, start + size).astype(str)),
                    "day": pa.array((np.arange(size) % 40).astype(str)),
                    "bucket": pa.array(np.full(size, start * 1_000 // count), pa.int32()),
                    "y": pa.array(generator.normal(size=size)),
                    **{f"x{number}": pa.array(generator.normal(size=size)) for number in range(8)},
                }
            )
            schema = schema or pq.ParquetWriter(folder / "features" / f"{split}-0000.parquet", table.schema)
            schema.write_table(table)
        assert schema is not None
        schema.close()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [(300_000, 1_500_000)])
def test_memory_does_not_grow_with_the_snapshot(tmp_path: Path, rows: tuple[int, int]) -> None:
    peaks = []
    for count in rows:
        write_snapshot(tmp_path / str(count), count)
        command = [sys.executable, "-c", TRAIN, str(tmp_path / str(count))]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        seen, peak = map(int, done.stdout.split())
        assert seen == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60_000_000  # the other rows are 60 MB as tensors, and several times that on the way there
