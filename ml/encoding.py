"""Feature columns → numbers for a network. Fitted on the train split, applied by training and by the service alike."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.contract import Contract
from ml.errors import SkewlessError

MISSING, UNKNOWN, FIRST = 0, 1, 2  # codes of a category


@dataclass(frozen=True)
class Encoding:
    """Statistics of the train split; `indicators` are the numerical features that were missing there at least once."""

    numerical: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    indicators: tuple[str, ...]
    vocabularies: dict[str, tuple[str, ...]]
    target: str
    target_mean: float
    target_std: float
    baseline: str | None

    @property
    def width(self) -> int:
        """Columns of the numerical matrix: standardised values, then indicators."""
        return len(self.numerical) + len(self.indicators)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Codes of each categorical feature, missing and unknown included."""
        return tuple(FIRST + len(vocabulary) for vocabulary in self.vocabularies.values())


def fit(contract: Contract, batches: Iterable[pa.RecordBatch]) -> Encoding:
    """One pass over the train split. Sums go batch by batch in their order, so that the result has the same bits always.

    Raises:
        SkewlessError: for a numerical feature or a target that is not finite.
    """
    names = contract.numerical
    target, baseline = contract.only("target"), contract.baseline if contract.residual else None
    moments = {name: _Moments() for name in (*names, target)}
    counters: dict[str, Counter[str]] = {name: Counter() for name in contract.categorical}
    for batch in batches:
        for name in names:
            moments[name].add(column(batch, name), name)
        moments[target].add(residual(batch, target, baseline), target)
        for name, counter in counters.items():
            for entry in pc.value_counts(batch[name]).to_pylist():
                if entry["values"] is not None:
                    counter[entry["values"]] += entry["counts"]
    if moments[target].missing:
        raise SkewlessError(
            f"{moments[target].missing:,} rows of the train split have no {target}", f"quarantine rows without {target} by a rule"
        )
    return Encoding(
        numerical=names,
        mean=tuple(moments[name].mean for name in names),
        std=tuple(moments[name].std for name in names),
        indicators=tuple(name for name in names if moments[name].missing),
        vocabularies={name: tuple(sorted(counter)) for name, counter in counters.items()},
        target=target,
        target_mean=moments[target].mean if contract.task == "regression" else 0.0,
        target_std=(moments[target].std or 1.0) if contract.task == "regression" else 1.0,
        baseline=baseline,
    )


def encode(encoding: Encoding, features: pa.Table | pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Numerical [rows, width] float32, standardised, missing 0; categorical [rows, features] int64 codes."""
    rows = features.num_rows
    numerical = np.zeros((rows, encoding.width), np.float32)
    place = len(encoding.numerical)
    for index, name in enumerate(encoding.numerical):
        values = column(features, name) - encoding.mean[index]
        values = values / encoding.std[index] if encoding.std[index] else values * 0.0
        missing = np.isnan(values)
        numerical[:, index] = np.where(missing, 0.0, values)
        if name in encoding.indicators:
            numerical[:, place] = missing
            place += 1
    categorical = np.zeros((rows, len(encoding.vocabularies)), np.int64)
    for index, (name, vocabulary) in enumerate(encoding.vocabularies.items()):
        values = features[name]
        found = pc.index_in(values, value_set=pa.array(vocabulary, pa.string())).fill_null(UNKNOWN - FIRST)
        codes = found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()
        nulls = values.is_null()
        is_null = nulls.to_numpy(zero_copy_only=False) if isinstance(nulls, pa.Array) else nulls.to_numpy()
        categorical[:, index] = np.where(is_null, MISSING, codes + FIRST)
    return numerical, categorical


def column(features: pa.Table | pa.RecordBatch, name: str) -> np.ndarray:
    """A numerical column as float64 [rows]; a missing value is NaN."""
    values = features[name]
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False))


def residual(features: pa.Table | pa.RecordBatch, target: str, baseline: str | None) -> np.ndarray:
    """The target as the network gets it before standardising, float64 [rows]: less the baseline, if it has one."""
    values = column(features, target)
    return np.asarray(values - offset(features, baseline))


def offset(features: pa.Table | pa.RecordBatch, baseline: str | None) -> np.ndarray:
    """What is added to the network's answer, float64 [rows]: the baseline feature, 0 where it is missing or undeclared."""
    return np.zeros(features.num_rows) if baseline is None else np.nan_to_num(column(features, baseline), nan=0.0)


def to_json(encoding: Encoding) -> str:
    return json.dumps(asdict(encoding), indent=1, ensure_ascii=False)


def from_json(text: str) -> Encoding:
    value = json.loads(text)
    for name in ("numerical", "mean", "std", "indicators"):
        value[name] = tuple(value[name])
    value["vocabularies"] = {name: tuple(entries) for name, entries in value["vocabularies"].items()}
    return Encoding(**value)


class _Moments:
    """Count, mean and sum of squared deviations of the values seen, merged batch by batch.

    Source of the merge: Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm (1979).
    """

    def __init__(self) -> None:
        self.count, self.missing, self.mean, self.squares = 0, 0, 0.0, 0.0

    def add(self, values: np.ndarray, name: str) -> None:
        present = values[~np.isnan(values)]
        self.missing += len(values) - len(present)
        if not len(present):
            return
        mean = float(present.mean())
        if not np.isfinite(mean):
            raise SkewlessError(f"{name} holds an infinite value", "guard the division or the logarithm in its SQL")
        delta, total = mean - self.mean, self.count + len(present)
        self.squares += float(((present - mean) ** 2).sum()) + delta**2 * self.count * len(present) / total
        self.mean += delta * len(present) / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation; 0 for a constant or empty column, of which nothing could be learned: every value encodes as 0."""
        value = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
        return value if value > max(1e-12, 1e-13 * abs(self.mean)) else 0.0  # below that it is rounding, not spread
