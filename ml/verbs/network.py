"""The verbs that train and judge the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml import records, storage
from ml.console import table
from ml.places import Places, identity
from ml.verbs.outcome import Context, Outcome, shown_path
from ml.verbs.verb import EPOCHS, RUN, SEED, SNAPSHOT, declare, flag, option

if TYPE_CHECKING:  # only named: the quick verbs do not wait for numpy
    from ml.metrics import SplitMetrics
    from ml.results import Ablation, Curve, Metrics


@declare(
    "train the network on the current snapshot; continues a run that was killed",
    "skewless train flights --epochs 5",
    (
        EPOCHS,
        SEED,
        SNAPSHOT,
        option("--sample", help="only this share of the train rows, by hash: 0.01 is contained in 0.1", type=float),
        flag("--curve", help="also the tuning error over nested samples: what more data buys"),
    ),
)
def train(context: Context) -> Outcome:
    from ml import train as training

    given = context.arguments
    snapshot = identity(Places(context.where, context.project), "snapshot", given.snapshot)
    config = training.settings(context.where, context.project, snapshot, epochs=given.epochs, seed=given.seed, sample=given.sample)
    run = training.train(context.where, context.project, snapshot, config, context.progress)
    place = shown_path(context, run.key)
    details: dict[str, Any] = {
        "run": run.id,
        "snapshot": snapshot,
        "epochs": run.epochs,
        "best_epoch": run.best_epoch,
        "score": run.score,
        "rows": run.rows,
        "path": place,
    }
    shown: list[Any] = []
    unchanged = run.unchanged
    if given.curve:
        from ml.train import learning_curve

        curve, known = learning_curve.curve(context.where, context.project, snapshot, config, context.progress)
        details["curve"] = records.to_json(curve)
        unchanged = unchanged and known
        shown.append(curve_table(curve))
    sample = f" on {config.sample:.4g} of train" if config.sample < 1 else ""
    return Outcome(
        f"{run.id}{sample}: best of {run.epochs} epochs is {run.best_epoch + 1}, tuning score {run.score:.4g}, {place}",
        details, unchanged=unchanged, rows=run.rows * run.epochs, bytes=storage.size(context.where, run.key), shown=tuple(shown),
    )  # fmt: skip


def curve_table(curve: Curve) -> Any:
    """The learning curve; the last column is what the step from the sample before has bought."""
    rows, before = [], None
    for point in curve.points:
        gained = "" if before is None else f"{point.error - before:+.3f}"
        low, high = point.interval
        rows.append([f"{point.share:.0%}", f"{point.rows:,}", f"{point.error:.3f}", f"[{low:.2f}, {high:.2f}]", gained])
        before = point.error
    return table(["of train", "rows", f"tuning {curve.metric}", "95 %", "change"], rows)


@declare(
    "metrics on test and out-of-time rows, next to those of the baselines",
    "skewless evaluate flights --json",
    (RUN, flag("--ablate", help="also what each feature is worth, by shuffling it on validation")),
)
def evaluate(context: Context) -> Outcome:
    from ml import evaluate as evaluating

    run = identity(Places(context.where, context.project), "run", context.arguments.run)
    metrics, unchanged = evaluating.evaluate(context.where, context.project, run, context.progress)
    shown, details = [score_table(metrics), *slice_tables(metrics), gate_lines(metrics)], records.to_json(metrics)
    if context.arguments.ablate:
        from ml.evaluate import permutation

        ablation, known = permutation.ablate(context.where, context.project, run, context.progress)
        details["ablation"] = records.to_json(ablation)
        unchanged = unchanged and known
        shown.append(ablation_table(ablation))
    return Outcome(
        score_line(metrics),
        details,
        unchanged=unchanged,
        rows=metrics.test.rows,
        shown=tuple(piece for part in shown if part for piece in (part, "")),
    )


def score_line(metrics: Metrics) -> str:
    name = metrics.metric
    return f"run {metrics.run}: {', '.join(f'{split} {name} {metrics.split(split).error:.4g}' for split in metrics.splits)}"


def score_table(metrics: Metrics) -> Any:
    """The network next to its baselines, on the same rows; intervals resample whole groups."""
    names, splits = (metrics.metric, "mae" if metrics.task == "regression" else "auc"), metrics.splits
    headers = ["", *(f"{split} {what}" for split in splits for what in names), *(f"network minus it, {split}" for split in splits)]
    rows = [["network", *(cell for split in splits for cell in _cells(metrics.split(split))), *("" for _ in splits)]]
    for name, baseline in metrics.baselines.items():
        cells = [cell for split in splits for cell in _cells(baseline.split(split))]
        rows.append([name.replace("_", " "), *cells, *(str(baseline.split(split).difference) for split in splits)])
    return table(headers, rows)


def _cells(found: SplitMetrics) -> list[str]:
    return [f"{found.error:.4g}", f"{found.second:.4g}"]


def slice_tables(metrics: Metrics) -> list[Any]:
    """Errors of the test split by slice; the mean error is answer less truth."""
    tables = []
    for slice_, entries in (metrics.test.slices or {}).items():
        rows = [
            [
                label,
                f"{entry.rows:,}",
                f"{entry.error:.4g}",
                f"[{entry.interval[0]:.4g}, {entry.interval[1]:.4g}]" if entry.interval else "",
                f"{entry.mean_error:+.2g}",
                f"{entry.coverage:.1%}" if entry.coverage is not None else "",
            ]
            for label, entry in entries.items()
        ]
        tables.append(table([slice_, "test rows", metrics.metric, "95 %", "mean error", "coverage"], rows))
    return tables


def gate_lines(metrics: Metrics) -> str:
    return "\n".join(f"gate {gate.name}: {'holds' if gate.ok else 'DOES NOT HOLD'}, {gate.says}" for gate in metrics.gates)


def ablation_table(ablation: Ablation) -> Any:
    """How much the error on validation grows when a feature is shuffled; features whose interval reaches 0 do not help."""
    rows = [
        [
            row.name if row.kind == "feature" else f"all of {row.name}",
            f"{row.change:+.3f}",
            f"[{row.interval[0]:+.3f}, {row.interval[1]:+.3f}]",
            "" if row.earns else "does not earn its place",
        ]
        for row in ablation.rows
    ]
    return table([f"shuffled ({ablation.metric} {ablation.error:.4g})", "change", "95 %", ""], rows)
