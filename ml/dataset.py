"""Snapshot shards → tensor batches: streamed, in bounded memory, in an order that only the seed and the epoch decide."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from ml.contract import Contract
from ml.encoding import Encoding, encode, residual
from ml.hashing import BUCKETS, hash_bucket

HALF_SALT = "skewless-validation-half"
READ_ROWS = 65_536
BUFFER_BATCHES = 16  # a shuffle sees a million rows at a time


@dataclass(frozen=True)
class Batch:
    """Numerical [rows, width] float32, categorical [rows, features] int64, target [rows] float32, standardised."""

    numerical: torch.Tensor
    categorical: torch.Tensor
    target: torch.Tensor


def shards(snapshot: Path, split: str) -> list[Path]:
    return sorted((snapshot / "features").glob(f"{split}-*.parquet"))


def _opened(path: Path) -> pq.ParquetFile:
    """Read through a small buffer: reading ahead, pyarrow would keep all that it has read until the file is closed."""
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)


def count_rows(snapshot: Path, split: str) -> int:
    return sum(pq.read_metadata(path).num_rows for path in shards(snapshot, split))


def record_batches(snapshot: Path, split: str) -> Iterator[pa.RecordBatch]:
    """A split in its frozen order, at most READ_ROWS rows at a time."""
    for path in shards(snapshot, split):
        with _opened(path) as file:
            yield from file.iter_batches(READ_ROWS)


def first(batches: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """At most so many rows, and no batch read beyond them; of shards, a prefix is a random sample."""
    for batch in batches:
        yield batch.slice(0, most)
        most -= min(most, batch.num_rows)
        if not most:
            return


def sampled(snapshot: Path, contract: Contract, share: float, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The train rows whose sample hash is below a share: a prefix, because the shards are in that order."""
    bound, name = round(share * BUCKETS), contract.only("sample")
    for path in shards(snapshot, "train"):
        with _opened(path) as file:
            for batch in file.iter_batches(READ_ROWS, columns=columns):
                inside = int(pc.sum(pc.less(batch[name], bound)).as_py() or 0)
                if inside:
                    yield batch.slice(0, inside)
                if inside < batch.num_rows:
                    return


def count_sampled(snapshot: Path, contract: Contract, share: float) -> int:
    """How many train rows `sampled` yields; only the sample column is read."""
    return sum(batch.num_rows for batch in sampled(snapshot, contract, share, [contract.only("sample")]))


def validation_half(snapshot: Path, contract: Contract, half: str) -> Iterator[pa.RecordBatch]:
    """Half of the validation split by the hash of the group: `tuning` stops training, `calibration` fits intervals."""
    group = contract.only("group")
    for batch in record_batches(snapshot, "validation"):
        mask = pa.array([_half_of(str(value)) == half for value in batch[group].to_pylist()])
        yield batch.filter(mask)


def tensors(batch: pa.RecordBatch, encoding: Encoding) -> Batch:
    numerical, categorical = encode(encoding, batch)
    target = (residual(batch, encoding.target, encoding.baseline) - encoding.target_mean) / encoding.target_std
    return Batch(torch.from_numpy(numerical), torch.from_numpy(categorical), torch.from_numpy(target.astype(np.float32)))


def training_batches(batches: Iterator[pa.RecordBatch], encoding: Encoding, batch_size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """Rows, shuffled: buffers of a million of them in file order, each permuted by (seed, epoch).

    The shards are already in the random order of the sample hash, so that a buffer is a random part of the split.
    """
    generator = np.random.default_rng([seed, epoch])
    for buffer in _buffers(batches, lambda batch: tensors(batch, encoding)):
        order = torch.from_numpy(generator.permutation(len(buffer.target)))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield Batch(buffer.numerical[rows], buffer.categorical[rows], buffer.target[rows])


def _buffers(batches: Iterator[pa.RecordBatch], convert: Callable[[pa.RecordBatch], Batch]) -> Iterator[Batch]:
    held: list[Batch] = []
    for batch in batches:
        held.append(convert(batch))
        if len(held) == BUFFER_BATCHES:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(held: list[Batch]) -> Batch:
    return Batch(
        torch.cat([batch.numerical for batch in held]),
        torch.cat([batch.categorical for batch in held]),
        torch.cat([batch.target for batch in held]),
    )


def _half_of(group: str) -> str:
    return "tuning" if hash_bucket(HALF_SALT, group) < BUCKETS // 2 else "calibration"


def target_values(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """The target as the warehouse stores it, float64 [rows]."""
    return np.asarray(pc.cast(batch[name], pa.float64()).to_numpy(zero_copy_only=False))
