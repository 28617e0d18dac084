"""All judged rows against the reference: exact distances over a hash sample, in Evidently's digits."""

from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa

from ml.contract import Column, Contract
from ml.drift.finding import Side, finding, judged_columns, threshold
from ml.drift.record import Finding
from ml.hashing import BUCKETS

MAX_ROWS = 200_000  # the distances sort; beyond this a hash sample says the same
PERMUTATIONS = 200
NOISELESS_ROWS = 5_000  # from here on, chance moves a column by less than any sensible threshold
Distance = Callable[[np.ndarray, np.ndarray], float]


def sample(opened: duckdb.DuckDBPyConnection, contract: Contract, rows: int) -> pa.Table:
    """At most about MAX_ROWS of the judged rows, by the hash of their id: predictions and features."""
    bound = min(BUCKETS, int(BUCKETS * MAX_ROWS / max(rows, 1)))
    names = ", ".join(f'"{column.name}"' for column in judged_columns(contract))
    sql = f"select {names} from judged where (md5_number(_id) & {BUCKETS - 1}) < {bound} order by _id"
    return opened.execute(sql).to_arrow_table()


def compare(contract: Contract, reference: pa.Table, current: pa.Table) -> list[Finding]:
    """A finding for the prediction and for each feature.

    Numerical columns: Wasserstein distance in standard deviations of the reference. Categorical ones: Jensen-Shannon
    distance, natural logarithm.
    """
    columns = judged_columns(contract)
    return [_compare(column, threshold(contract, column), reference[column.name], current[column.name]) for column in columns]


def _compare(column: Column, limit: float, before: pa.ChunkedArray, after: pa.ChunkedArray) -> Finding:
    distance: Distance
    if column.kind == "numerical":
        left, right = (part.drop_null().cast(pa.float64()).to_numpy() for part in (before, after))
        distance, values = _wasserstein, []
    else:
        both = pa.chunked_array([*before.chunks, *after.chunks]).drop_null().dictionary_encode().combine_chunks()
        values, codes = both.dictionary.to_pylist(), both.indices.to_numpy(zero_copy_only=False)
        cut = len(before) - before.null_count
        left, right, distance = codes[:cut], codes[cut:], _jensen_shannon
    enough = len(left) > 0 and len(right) > 0
    score = distance(left, right) if enough else 0.0
    noise = _noise(distance, left, right) if enough and score > limit else 0.0
    return finding(column, limit, score, noise, _side(before, left, values), _side(after, right, values))


def _side(column: pa.ChunkedArray, present: np.ndarray, values: list[str]) -> Side:
    missing = column.null_count / max(len(column), 1)
    if not len(present):
        return Side(len(column), missing)
    if values:
        shares = np.bincount(present, minlength=len(values)) / len(present)
        return Side(len(column), missing, shares=dict(zip(values, shares.tolist(), strict=True)))
    return Side(len(column), missing, float(present.mean()), float(present.std()))


def _wasserstein(left: np.ndarray, right: np.ndarray) -> float:
    """In standard deviations of the reference, as Evidently normalises it."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(left, right)) / max(float(left.std()), 1e-3)


def _jensen_shannon(left: np.ndarray, right: np.ndarray) -> float:
    from scipy.spatial.distance import jensenshannon

    count = int(max(left.max(), right.max())) + 1
    return float(jensenshannon(np.bincount(left, minlength=count), np.bincount(right, minlength=count)))


def _noise(distance: Distance, left: np.ndarray, right: np.ndarray) -> float:
    """The distance that 95 % of random splits of the pooled rows stay below: few rows differ by chance alone."""
    if min(len(left), len(right)) >= NOISELESS_ROWS:
        return 0.0
    # The smaller side makes the noise; ten thousand rows of the larger represent all.
    left, right = (side[:: max(1, len(side) // (2 * NOISELESS_ROWS))] for side in (left, right))
    pooled, generator = np.concatenate([left, right]), np.random.default_rng(0)
    draws = []
    for _ in range(PERMUTATIONS):
        generator.shuffle(pooled)
        draws.append(distance(pooled[: len(left)], pooled[len(left) :]))
    return float(np.quantile(draws, 0.95))
