"""The error of predictions whose truth is known by now, beside the error on the test split."""

from typing import Any

import duckdb
import numpy as np

from ml.contract import Contract
from ml.drift.finding import number
from ml.drift.source import LEAST_ROWS
from ml.metrics import LEAST_GROUPS, interval, metric_name, redrawn, summary

LOSS = "ln(greatest(case when _truth > 0.5 then prediction else 1 - prediction end, 1e-12))"
SUMS = {
    "regression": "sum(power(_truth - prediction, 2)), sum(abs(_truth - prediction)), "
    "sum(cast(_truth between prediction_lower and prediction_upper as integer))",
    "binary": f"sum(-{LOSS}), sum(power(_truth - prediction, 2)), null",
}


def live(
    opened: duckdb.DuckDBPyConnection, contract: Contract, unit: str, test: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """The live error over all judged rows, or None where no truth is known; and that of each window by its beginning.

    Regression: RMSE, MAE and the coverage of the intervals. Binary: log loss and Brier score. One scan of SQL sums the
    losses by window, group and hour. Intervals resample whole groups (days, for a log) where there are LEAST_GROUPS of
    them, hours where there are so many of those, and are left out otherwise: neighbours in time err alike.
    """
    rows = opened.execute(f"""
        select cast(date_trunc('{unit}', _at) as timestamp), _group, date_trunc('hour', _at), count(*), {SUMS[contract.task]}
        from judged where _truth is not null and prediction is not null group by 1, 2, 3 order by 1, 2, 3
    """).fetchall()
    if not rows:
        return None, {}
    by_window: dict[str, list[tuple]] = {}
    for begins, *row in rows:
        if begins is not None:
            by_window.setdefault(begins.isoformat(), []).append(tuple(row))
    whole = _measure([tuple(row[1:]) for row in rows], contract, test)
    return whole, {begins: _measure(part, contract, test) for begins, part in by_window.items()}


def _measure(rows: list[tuple], contract: Contract, test: dict[str, Any]) -> dict[str, Any]:
    """`rows`: group, hour, count and three sums of each block."""
    name = metric_name(contract.task)
    counts, losses, seconds = (np.array([row[index] for row in rows], float) for index in (2, 3, 4))
    total = int(counts.sum())
    known: dict[str, Any] = {"rows": total, name: float(summary(losses.sum() / total, contract.task))}
    known["mae" if name == "rmse" else "brier"] = float(seconds.sum() / total)
    if name == "rmse" and all(row[5] is not None for row in rows):
        known["coverage"] = sum(row[5] for row in rows) / total
    blocks = next((kind for kind in (0, 1) if len({row[kind] for row in rows}) >= LEAST_GROUPS), None)
    known |= {f"{name}_interval": None, "resampled": None}
    if blocks is not None:
        _, index = np.unique([str(row[blocks]) for row in rows], return_inverse=True)
        sums, sizes = np.bincount(index, losses), np.bincount(index, counts)
        known[f"{name}_interval"] = interval(summary(redrawn(sums, sizes), contract.task))
        known["resampled"] = f"{len(sums)} {('groups', 'hours')[blocks]}"
    known["test"], known["test_interval"] = test[name], test[f"{name}_interval"]
    known["against_test"] = _against(known[f"{name}_interval"], known["test_interval"], total)
    known["says"] = _says(known, contract, name)
    return known


def _against(found: list[float] | None, test: list[float], rows: int) -> str:
    """worse or better when the intervals do not meet; like where they do, unknown where there is none."""
    if found is None or rows < LEAST_ROWS:
        return "unknown"
    return "worse" if found[0] > test[1] else "better" if found[1] < test[0] else "like"


def _says(known: dict[str, Any], contract: Contract, name: str) -> str:
    target = next(column for column in contract.columns if column.role == "target")
    unit = f" {target.unit}" if target.unit else ""
    scale = known["test"]
    word = "live error" if name == "rmse" else "live log loss"
    said = f"{word} {number(known[name], scale)}{unit} over {known['rows']:,} rows against {number(scale, scale)} on test"
    if "coverage" in known:
        said += f", {known['coverage']:.0%} inside their interval"
    return (
        said
        + {
            "worse": ": worse beyond chance",
            "better": ": better beyond chance",
            "like": ": within chance",
            "unknown": ": too few rows or days to tell from chance",
        }[known["against_test"]]
    )
