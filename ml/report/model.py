"""The sections about the network: its errors, where they are large, and the features behind it."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ml.contract import Contract
from ml.report import charts
from ml.report.page import Section, figure, pair, table, text
from ml.report.sources import Sources

MAX_SLICES = 20


def accuracy(found: Sources) -> Section:
    """The network with its baselines, and the gates."""
    metrics, name = found.metrics, found.metrics.metric
    unit = _unit(found.contract)
    parts = []
    for split in metrics.splits:
        own = metrics.split(split)
        others = {key: value.split(split) for key, value in metrics.baselines.items()}
        mean = others.pop("mean")
        shown = {"network": own, **{key.replace("_", " "): value for key, value in others.items()}}
        caption = f"{name} on {split}, {own.rows:,} rows of {own.groups} groups"
        chart = charts.intervals(list(shown), [each.error for each in shown.values()], [each.interval for each in shown.values()], unit)
        parts.append(figure(caption, chart, f"Predicting the mean: {mean.error:.4g}."))
    rows = [
        [key.replace("_", " "), *(str(value.split(split).difference) for split in metrics.splits)]
        for key, value in metrics.baselines.items()
    ]
    gaps = table(["network minus", *metrics.splits], rows)
    gates = [[gate.name.replace("_", " "), gate.says, "holds" if gate.ok else "does not hold"] for gate in metrics.gates]
    body = pair(*parts) + text(
        "Intervals are 95 %, from resampled groups: rows of a group are alike, so groups are what was sampled.", True
    )
    body += "<h3>Paired differences</h3>" + gaps
    if gates:
        body += "<h3>Gates</h3>" + table(["gate", "asked and found", ""], gates, (0, 1), [not gate.ok for gate in metrics.gates])
    return Section("accuracy", "Accuracy", body)


def answers(found: Sources) -> Section:
    """Predicted against actual, errors, and what the intervals hold."""
    if found.answers is None:
        return Section("answers", "Predictions", text(f"Not kept yet: run skewless evaluate {found.contract.project}.", True))
    kept = pq.read_table(Path(found.answers)).to_pydict()
    test = np.array(kept["split"]) == "test"
    truth, prediction = (np.array(kept[name], float)[test] for name in ("truth", "prediction"))
    unit = _unit(found.contract)
    if found.contract.task == "binary":
        return Section("answers", "Predictions", _reliability(truth, prediction))
    low, high = (np.array(kept[name], float)[test] for name in ("lower", "upper"))
    body = pair(
        figure("Predicted against actual, test", charts.density(truth, prediction, f"actual ({unit})", f"predicted ({unit})")),
        figure("Errors on test", charts.histogram(prediction - truth, f"predicted less actual ({unit})"))
        + figure(
            "What intervals hold, by the size of the prediction",
            _coverage(truth, prediction, low, high, unit),
            f"{_percent(found.metrics.test.coverage)} of all test rows are inside; the calibration asked for 90 %.",
        ),
    )
    return Section("answers", "Predictions", body)


def slices(found: Sources) -> Section:
    """The error and the coverage of each slice of the test split."""
    name, unit, parts = found.metrics.metric, _unit(found.contract), []
    for slice_, entries in (found.metrics.test.slices or {}).items():
        largest = sorted(entries, key=lambda label, entries=entries: -entries[label].rows)[:MAX_SLICES]  # type: ignore[misc]
        shown = [(label, entry) for label, entry in entries.items() if label in largest]
        labels = [f"{label} ({entry.rows:,})" for label, entry in shown]
        chart = charts.intervals(labels, [entry.error for _, entry in shown], [entry.interval for _, entry in shown], f"{name} ({unit})")
        columns = [slice_, "rows", "groups", "mean error", "coverage"]
        rows = [
            [label, f"{entry.rows:,}", str(entry.groups), f"{entry.mean_error:+.2g}", _percent(entry.coverage)] for label, entry in shown
        ]
        parts.append(pair(figure(f"{name} on test by {slice_.replace('_', ' ')} (rows)", chart), table(columns, rows)))
    body = "".join(parts) or text("No slices are declared: list some in meta.ml.slices.", True)
    return Section("slices", "Slices", body)


def features(found: Sources) -> Section:
    """Ablation and the learning curve."""
    project, parts = found.contract.project, []
    if found.ablation:
        for kind, title in (("feature", "Shuffling one feature"), ("family", "Shuffling a family of features")):
            rows = [row for row in found.ablation.rows if row.kind == kind]
            largest = rows[0] if len(rows) > 1 and rows[0].change > 5 * max(rows[1].change, 1e-9) else None
            shown = rows[1:] if largest else rows
            note = f"Left out of the picture: {largest.name}, {largest.change:+.3g}." if largest else ""
            if shown:
                points, spans = [row.change for row in shown], [row.interval for row in shown]
                unit = f"change of validation {found.ablation.metric} ({_unit(found.contract)})"
                chart = charts.intervals([row.name for row in shown], points, spans, unit, [not row.earns for row in shown])
                parts.append(figure(title, chart, note))
        lead = text("Red: the interval reaches 0, so on validation the feature does not earn its place by itself.", True)
        body = lead + pair(*parts)
    else:
        body = text(f"What each feature is worth is not known yet: run skewless evaluate {project} --ablate.", True)
    if found.curve and found.curve.points:
        learned = found.curve.points
        name = f"tuning {found.curve.metric}"
        chart = charts.lines(
            [point.rows for point in learned], {name: [point.error for point in learned]}, "train rows, nested samples",
            f"{name} ({_unit(found.contract)})", {name: [point.interval for point in learned]}, log_x=True,
        )  # fmt: skip
        body += pair(figure("Learning curve", chart, f"Of snapshot {found.curve.snapshot}."))
    else:
        body += text(f"What more rows would buy is not known yet: run skewless train {project} --curve.", True)
    return Section("features", "Features and rows", body)


def _coverage(truth: np.ndarray, prediction: np.ndarray, low: np.ndarray, high: np.ndarray, unit: str) -> str:
    """The share of rows inside their interval, by tenths of the prediction."""
    edges = np.unique(np.quantile(prediction, np.linspace(0, 1, 11)))
    tenth = np.clip(np.searchsorted(edges, prediction, side="right") - 1, 0, len(edges) - 2)
    inside = (truth >= low) & (truth <= high)
    shares = [float(inside[tenth == index].mean()) if (tenth == index).any() else None for index in range(len(edges) - 1)]
    middles = [f"{(low_ + high_) / 2:.0f}" for low_, high_ in itertools.pairwise(edges)]
    return charts.lines(middles, {"coverage": shares}, f"prediction, by tenths ({unit})", "share inside", level=0.9)


def _reliability(truth: np.ndarray, prediction: np.ndarray) -> str:
    """How often the answer was yes, by tenths of the probability."""
    order = np.array_split(np.argsort(prediction), min(10, max(1, len(truth) // 10)))
    seen = [float(truth[part].mean()) for part in order]
    said = [float(prediction[part].mean()) for part in order]
    chart = charts.lines(
        [round(value, 3) for value in said], {"seen": seen, "as said": said}, "mean probability that was said", "share that came true"
    )
    return pair(figure("Calibration on test", chart), figure("Probabilities on test", charts.histogram(prediction, "probability")))


def _unit(contract: Contract) -> str:
    target = next(column for column in contract.columns if column.role == "target")
    return target.unit or ("log loss" if contract.task == "binary" else target.name)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
