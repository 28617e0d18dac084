"""The error of predictions whose truth is known by now, with the error on the test split."""

from dataclasses import replace
from typing import Any

import duckdb
import numpy as np

from ml.contract import Contract
from ml.drift.finding import number
from ml.drift.record import Live
from ml.drift.source import MIN_ROWS
from ml.metrics import MIN_GROUPS, Interval, SplitMetrics, interval, redrawn, summaries, summary

LOSS = "ln(greatest(case when _truth > 0.5 then prediction else 1 - prediction end, 1e-12))"
SUMS = {
    "regression": "sum(power(_truth - prediction, 2)), sum(abs(_truth - prediction)), "
    "sum(cast(_truth between prediction_lower and prediction_upper as integer))",
    "binary": f"sum(-{LOSS}), sum(power(_truth - prediction, 2)), null",
}


def live(opened: duckdb.DuckDBPyConnection, contract: Contract, unit: str, test: SplitMetrics) -> tuple[Live | None, dict[str, Live]]:
    """The live error over all judged rows, or None where no truth is known; and that of each window by its beginning.

    Regression: RMSE, MAE and the coverage of the intervals. Binary: log loss and Brier score. One scan of SQL sums the
    losses by window, group and hour. Intervals resample whole groups (days, for a log) where there are MIN_GROUPS of
    them, hours where there are so many of those, and are left out otherwise: neighbours in time err alike.
    """
    rows = opened.execute(f"""
        select cast(date_trunc('{unit}', _at) as timestamp), _group, date_trunc('hour', _at), count(*), {SUMS[contract.task]}
        from judged where _truth is not null and prediction is not null group by 1, 2, 3 order by 1, 2, 3
    """).fetchall()
    if not rows:
        return None, {}
    by_window: dict[str, list[tuple[Any, ...]]] = {}
    for begins, *row in rows:
        if begins is not None:
            by_window.setdefault(begins.isoformat(), []).append(tuple(row))
    whole = _measure([tuple(row[1:]) for row in rows], contract, test)
    return whole, {begins: _measure(part, contract, test) for begins, part in by_window.items()}


def _measure(rows: list[tuple[Any, ...]], contract: Contract, test: SplitMetrics) -> Live:
    """`rows`: group, hour, count and three sums of each block."""
    counts, losses, seconds = (np.array([row[index] for row in rows], float) for index in (2, 3, 4))
    total, task = int(counts.sum()), contract.task
    blocks = next((kind for kind in (0, 1) if len({row[kind] for row in rows}) >= MIN_GROUPS), None)
    between = resampled = coverage = None
    if blocks is not None:
        _, index = np.unique([str(row[blocks]) for row in rows], return_inverse=True)
        sums, sizes = np.bincount(index, losses), np.bincount(index, counts)
        between = interval(summaries(redrawn(sums, sizes), task))
        resampled = f"{len(sums)} {('groups', 'hours')[blocks]}"
    if task == "regression" and all(row[5] is not None for row in rows):
        coverage = sum(row[5] for row in rows) / total
    error, second = summary(losses.sum() / total, task), float(seconds.sum() / total)
    against = _against(between, test.interval, total)
    says = _says(error, total, coverage, against, contract, test.error)
    known = Live(total, resampled, test.error, test.interval, against, says)
    if task == "regression":
        return replace(known, rmse=error, rmse_interval=between, mae=second, coverage=coverage)
    return replace(known, log_loss=error, log_loss_interval=between, brier=second)


def _against(found: Interval | None, test: Interval, rows: int) -> str:
    """worse or better when the intervals do not overlap; like where they do, unknown where there is none."""
    if found is None or rows < MIN_ROWS:
        return "unknown"
    return "worse" if found[0] > test[1] else "better" if found[1] < test[0] else "like"


def _says(error: float, rows: int, coverage: float | None, against: str, contract: Contract, test: float) -> str:
    target = next(column for column in contract.columns if column.role == "target")
    unit = f" {target.unit}" if target.unit else ""
    word = "live error" if contract.task == "regression" else "live log loss"
    said = f"{word} {number(error, test)}{unit} over {rows:,} rows against {number(test, test)} on test"
    if coverage is not None:
        said += f", {coverage:.0%} inside their interval"
    return (
        said
        + {
            "worse": ": worse beyond chance",
            "better": ": better beyond chance",
            "like": ": within chance",
            "unknown": ": too few rows or days to tell from chance",
        }[against]
    )
