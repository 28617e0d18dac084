"""The judged rows cut into calendar windows, each against the reference; one scan of SQL counts everything.

Exact: rows, means, standard deviations, shares, missing values, and the distance of categories. Binned: the distance of a
numerical column. Its distribution is counted at BINS quantiles of the reference and at BINS even steps; between two edges
it counts as even, beyond the first and the last its distance is exact again. So a window's score is within one step, a
BINS-th of the reference's range, of the exact one, and within a hundredth or two where the values are smooth.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.contract import Column, Contract
from ml.drift.finding import UNSEEN, Side, finding, judged_columns, threshold, verdict
from ml.drift.record import Window
from ml.drift.source import MIN_ROWS
from ml.drift.whole import NOISELESS_ROWS, PERMUTATIONS

UNITS = ("hour", "day", "week", "month")
MAX_WINDOWS = 30
STRAY = 0.1  # the share of rows that may be in windows too small to be compared
MAX_WINDOWS_ASKED = 400  # a record of more could not be read by anybody
MAX_USUAL_WINDOWS = 200
MIN_WINDOWS = 5
WHOLE = 0.9
BINS = 64
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def choose_unit(opened: duckdb.DuckDBPyConnection) -> str:
    """The finest unit that cuts the rows into at most MAX_WINDOWS windows, nine tenths of the rows in windows of
    MIN_ROWS or more; months where none does.
    """
    for unit in UNITS:
        ((windows, rows, held),) = opened.execute(f"""
            select count(*), coalesce(sum(rows), 0), coalesce(sum(rows) filter (rows >= {MIN_ROWS}), 0)
            from (select count(*) as rows from judged where _at is not null group by date_trunc('{unit}', _at))
        """).fetchall()
        if windows <= MAX_WINDOWS and held >= (1 - STRAY) * rows:
            return unit
    return UNITS[-1]


def count(opened: duckdb.DuckDBPyConnection, unit: str) -> int:
    ((found,),) = opened.execute(f"select count(distinct date_trunc('{unit}', _at)) from judged").fetchall()
    return int(found)


def usual_scores(opened: duckdb.DuckDBPyConnection, contract: Contract, reference: pa.Table, unit: str) -> dict[str, float]:
    """By column, the score that 95 % of the training windows of this unit stay below; empty with fewer than MIN_WINDOWS.

    Every week has its own conditions and so differs from the year; a window has moved where it differs more than the
    weeks that the network was trained on. `opened` has the relation `training`.
    """
    compared = [one for one in windows(opened, contract, reference, unit, {}, "training") if one.judged]
    if len(compared) < MIN_WINDOWS:
        return {}
    names = [found.name for found in compared[0].findings]
    scores = np.array([[found.score for found in one.findings] for one in compared])
    return dict(zip(names, np.quantile(scores, 0.95, axis=0).tolist(), strict=True))


def windows(
    opened: duckdb.DuckDBPyConnection, contract: Contract, reference: pa.Table, unit: str, usual: dict[str, float], relation: str = "judged"
) -> list[Window]:
    """One record a window, oldest first. One with fewer than MIN_ROWS rows has its means, and no scores.

    Weeks begin on Monday. `to` is where the next window begins. A window is complete when rows come after it, or reach
    into its last tenth: half a week differs from whole ones for that alone. `usual`: what `usual_scores` gave.
    """
    columns = judged_columns(contract)
    edges = {column.name: _edges(column, reference[column.name]) for column in columns}
    parts, given = [], []
    for column in columns:
        name = f'"{column.name}"'
        parts.append(f"count({name})")
        if column.kind == "numerical":
            low, high = (float(edges[column.name][end]) for end in (0, -1))
            value = f"cast({name} as double)"
            parts += [f"avg({value})", f"stddev_pop({value})", f"histogram({value}, ?::double[])"]
            parts += [f"sum(greatest(?::double - {value}, 0))", f"sum(greatest({value} - ?::double, 0))"]
            given += [_bounds(edges[column.name]).tolist(), low, high]
        else:
            parts.append(f"histogram_exact({name}, ?::varchar[])")
            given.append(edges[column.name])
    start = f"date_trunc('{unit}', _at)"
    which = (
        "order by 1"
        if relation == "judged"
        else f"having count(*) >= {MIN_ROWS} order by md5(cast(begins as varchar)) limit {MAX_USUAL_WINDOWS}"
    )
    result = opened.execute(
        f"select cast({start} as timestamp) as begins, cast({start} + interval 1 {unit} as timestamp), max(_at), count(*), "
        f"{', '.join(parts)} from {relation} where _at is not null group by 1, 2 {which}",
        given,
    )
    known = {column.name: _reference_counts(column, reference[column.name], edges[column.name]) for column in columns}
    found: list[Window] = []
    while row := result.fetchone():  # one at a time: the counts of a row are many small objects
        found.append(_window(contract, columns, edges, known, usual, row))
    if found:
        begins, ends, newest = (datetime.fromisoformat(moment) for moment in (found[-1].from_, found[-1].to, found[-1].newest))
        found[-1] = replace(found[-1], complete=newest >= begins + WHOLE * (ends - begins))
    return found


def _window(
    contract: Contract, columns: list[Column], edges: dict[str, Any], known: dict[str, Any], usual: dict[str, float], row: tuple[Any, ...]
) -> Window:
    begins, ends, newest, rows, *rest = row
    found = []
    for column in columns:
        side, counts = known[column.name]
        if column.kind == "numerical":
            present, mean, spread, counted, under, over, *rest = rest
            now = Side(rows, 1 - present / rows, mean, spread)
            after = _cells(edges[column.name], counted or {}, present)
            points = _points(edges[column.name], (under or 0.0) / max(after[0], 1), (over or 0.0) / max(after[-1], 1))
            distance = _wasserstein(points, max(side.spread or 0.0, 1e-3))
        else:
            present, counted, *rest = rest
            after = np.array([(counted or {}).get(value, 0) for value in edges[column.name]] + [0], np.int64)
            after[-1] = present - after.sum()
            values = [*edges[column.name], UNSEEN]
            shares = {name: count / present for name, count in zip(values, after.tolist(), strict=True) if count}
            now, distance = Side(rows, 1 - present / rows, shares=shares), _jensen_shannon
        enough = rows >= MIN_ROWS and present > 0 and counts.sum() > 0
        limit = threshold(contract, column)
        score = float(distance(counts / counts.sum(), after / present)) if enough else 0.0
        noise = usual.get(column.name, 0.0)
        if score > max(limit, noise):
            noise = max(noise, _noise(distance, counts, after))
        found.append(finding(column, limit, score, noise, side, now))
    return Window(
        from_=begins.isoformat(),
        to=ends.isoformat(),
        newest=newest.isoformat(),
        rows=rows,
        complete=True,
        judged=verdict(contract, found) if rows >= MIN_ROWS else None,
        findings=tuple(found),
        live=None,
    )


def _edges(column: Column, values: pa.ChunkedArray) -> Any:
    """Quantiles and even steps of a numerical column in the reference, float64 [edges]; the values of a categorical one."""
    if column.kind == "categorical":
        return sorted(pc.unique(values.drop_null()).to_pylist())
    present = values.drop_null().cast(pa.float64()).to_numpy()
    if not len(present):
        return np.zeros(1)
    quantiles = np.quantile(present, np.linspace(0, 1, BINS + 1), method="inverted_cdf")
    return np.unique(np.concatenate([quantiles, np.linspace(present.min(), present.max(), BINS + 1)]))


def _bounds(edges: np.ndarray) -> np.ndarray:
    """Upper bounds of cells: each edge is a cell of its own, because columns of few values have all their rows on edges."""
    return np.unique(np.concatenate([np.nextafter(edges, -np.inf), edges]))


def _cells(edges: np.ndarray, counted: dict[float, int], present: int) -> np.ndarray:
    """Counts of the cells below the first edge, at it, between it and the second, ..., at the last, above: int64 [2 edges + 1]."""
    inside = np.zeros(2 * len(edges), np.int64)
    at = np.searchsorted(edges, list(counted) or np.zeros(0))
    for index, (bound, count) in zip(at, counted.items(), strict=True):
        if index < len(edges):
            inside[2 * index + (edges[index] == bound)] += count
    return np.append(inside, present - inside.sum())


def _points(edges: np.ndarray, under: float, over: float) -> np.ndarray:
    """The edges, and a point for each tail: as far out as its rows are on average, which keeps the distance exact there."""
    return np.concatenate([[edges[0] - under], edges, [edges[-1] + over]])


def _wasserstein(points: np.ndarray, spread: float) -> Distance:
    """The area between two distribution functions, over the reference's standard deviation; shares [..., cells] → [...]."""

    def distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        gap = np.cumsum(right - left, axis=-1)
        # A tail counts as one point: its whole share has come before the first edge, and comes only at the last point.
        begin = np.concatenate([gap[..., :1], gap[..., 1::2]], axis=-1)
        end = np.concatenate([gap[..., :-1:2], begin[..., -1:]], axis=-1)
        return np.asarray((_area(begin, end) * np.diff(points)).sum(-1) / spread)

    return distance


def _area(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The mean of |x| while x goes straight from one value to the other."""
    total = np.abs(begin) + np.abs(end)
    crossing = (begin**2 + end**2) / np.maximum(2 * total, 1e-300)
    return np.asarray(np.where(begin * end >= 0, total / 2, crossing))


def _jensen_shannon(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Shares [..., values] → [...]. New values are one value here: of shares that the reference lacks only the sum counts."""
    middle = (left + right) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log(side / middle), 0.0).sum(-1) for side in (left, right)]
    return np.asarray(np.sqrt(np.maximum(parts[0] + parts[1], 0.0) / 2))


def _noise(distance: Distance, before: np.ndarray, after: np.ndarray) -> float:
    """The distance that 95 % of random splits of the pooled rows stay below."""
    if min(before.sum(), after.sum()) >= NOISELESS_ROWS:
        return 0.0
    pooled, size = before + after, int(after.sum())
    drawn = np.random.default_rng(0).multivariate_hypergeometric(pooled, size, PERMUTATIONS, method="marginals")
    return float(np.quantile(distance((pooled - drawn) / before.sum(), drawn / size), 0.95))


def _reference_counts(column: Column, values: pa.ChunkedArray, edges: Any) -> tuple[Side, np.ndarray]:
    present = values.drop_null()
    rows, missing = len(values), values.null_count / max(len(values), 1)
    if column.kind == "categorical":
        tally = {entry["values"]: entry["counts"] for entry in pc.value_counts(present).to_pylist()}
        counts = np.array([*(tally[value] for value in edges), 0], np.int64)
        return Side(rows, missing, shares={name: count / len(present) for name, count in tally.items()}), counts
    numbers = present.cast(pa.float64()).to_numpy()
    bounds = _bounds(edges)
    at = np.searchsorted(bounds, numbers)
    counted = dict(zip(bounds.tolist(), np.bincount(at, minlength=len(bounds)).tolist(), strict=False))
    if not len(numbers):
        return Side(rows, missing), _cells(edges, counted, 0)
    return Side(rows, missing, float(numbers.mean()), float(numbers.std())), _cells(edges, counted, len(numbers))
