"""The verbs that train and judge the network."""

from typing import Any

from ml import storage
from ml.console import table
from ml.verbs.outcome import Context, Outcome, lies
from ml.verbs.verb import EPOCHS, SEED, declare, flag, option


@declare(
    "train the network on the current snapshot; continues a run that was killed",
    "skewless train flights --epochs 5",
    (
        EPOCHS,
        SEED,
        option("--sample", help="only this share of the train rows, by hash: 0.01 is contained in 0.1", type=float),
        flag("--curve", help="also the tuning error over nested samples: what more data buys"),
    ),
)
def train(context: Context) -> Outcome:
    from ml import train as room

    given = context.arguments
    config = room.settings(context.where, context.project, epochs=given.epochs, seed=given.seed, sample=given.sample)
    run = room.train(context.where, context.project, config, context.progress)
    place = lies(context, run.key)
    details: dict[str, Any] = {
        "run": run.id,
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

        details["curve"], known = learning_curve.curve(context.where, context.project, config, context.progress)
        unchanged = unchanged and known
        shown.append(curve_table(details["curve"]))
    sample = f" on {config.sample:.4g} of train" if config.sample < 1 else ""
    return Outcome(
        f"{run.id}{sample}: best of {run.epochs} epochs is {run.best_epoch + 1}, tuning score {run.score:.4g}, {place}",
        details, unchanged=unchanged, rows=run.rows * run.epochs, bytes=storage.size(context.where, run.key), shown=tuple(shown),
    )  # fmt: skip


def curve_table(record: dict[str, Any]) -> Any:
    """The learning curve; the last column is what the step from the sample before has bought."""
    rows, before = [], None
    for point in record["points"]:
        gained = "" if before is None else f"{point['error'] - before:+.3f}"
        low, high = point["interval"]
        rows.append([f"{point['share']:.0%}", f"{point['rows']:,}", f"{point['error']:.3f}", f"[{low:.2f}, {high:.2f}]", gained])
        before = point["error"]
    return table(["of train", "rows", f"tuning {record['metric']}", "95 %", "change"], rows)


@declare(
    "metrics on test and out-of-time rows, next to those of the baselines",
    "skewless evaluate flights --json",
    (flag("--ablate", help="also what each feature is worth, by shuffling it on validation"),),
)
def evaluate(context: Context) -> Outcome:
    from ml import evaluate as room

    metrics, unchanged = room.evaluate(context.where, context.project, context.progress)
    shown, details = [score_table(metrics), *slice_tables(metrics), gate_lines(metrics)], dict(metrics)
    if context.arguments.ablate:
        from ml.evaluate import permutation

        details["ablation"], known = permutation.ablate(context.where, context.project, context.progress)
        unchanged = unchanged and known
        shown.append(ablation_table(details["ablation"]))
    return Outcome(
        score_line(metrics),
        details,
        unchanged=unchanged,
        rows=metrics["test"]["rows"],
        shown=tuple(piece for part in shown if part for piece in (part, "")),
    )


def score_line(metrics: dict[str, Any]) -> str:
    name = "rmse" if metrics["task"] == "regression" else "log_loss"
    parts = [f"{split} {name} {metrics[split][name]:.4g}" for split in ("test", "out_of_time") if metrics[split]]
    return f"run {metrics['run']}: {', '.join(parts)}"


def score_table(metrics: dict[str, Any]) -> Any:
    """The network beside its baselines, on the same rows; intervals resample whole groups."""
    name, second = ("rmse", "mae") if metrics["task"] == "regression" else ("log_loss", "auc")
    splits = [split for split in ("test", "out_of_time") if metrics[split]]
    headers = ["", *(f"{split} {what}" for split in splits for what in (name, second)), *(f"network minus it, {split}" for split in splits)]
    own = [["network", *(f"{metrics[split][what]:.4g}" for split in splits for what in (name, second)), *("" for _ in splits)]]
    for baseline, values in metrics["baselines"].items():
        cells = [f"{values[('' if split == 'test' else 'out_of_time_') + what]:.4g}" for split in splits for what in (name, second)]
        gaps = [values[("" if split == "test" else "out_of_time_") + "difference"] for split in splits]
        own.append(
            [
                baseline.replace("_", " "),
                *cells,
                *(f"{gap['point']:+.3g} [{gap['interval'][0]:+.3g}, {gap['interval'][1]:+.3g}]" for gap in gaps),
            ]
        )
    return table(headers, own)


def slice_tables(metrics: dict[str, Any]) -> list[Any]:
    """Errors of the test split by slice; the mean error is answer less truth."""
    name, tables = ("rmse" if metrics["task"] == "regression" else "log_loss"), []
    for slice_, entries in metrics["test"]["slices"].items():
        rows = [
            [
                label,
                f"{entry['rows']:,}",
                f"{entry[name]:.4g}",
                f"[{entry['interval'][0]:.4g}, {entry['interval'][1]:.4g}]" if entry["interval"] else "",
                f"{entry['mean_error']:+.2g}",
                f"{entry['coverage']:.1%}" if entry["coverage"] is not None else "",
            ]
            for label, entry in entries.items()
        ]
        tables.append(table([slice_, "test rows", name, "95 %", "mean error", "coverage"], rows))
    return tables


def gate_lines(metrics: dict[str, Any]) -> str:
    return "\n".join(f"gate {gate['name']}: {'holds' if gate['ok'] else 'DOES NOT HOLD'}, {gate['says']}" for gate in metrics["gates"])


def ablation_table(record: dict[str, Any]) -> Any:
    """What the error on validation loses when a feature is shuffled; those whose interval reaches 0 do not earn their place."""
    rows = [
        [
            row["name"] if row["kind"] == "feature" else f"all of {row['name']}",
            f"{row['change']:+.3f}",
            f"[{row['interval'][0]:+.3f}, {row['interval'][1]:+.3f}]",
            "" if row["earns"] else "does not earn its place",
        ]
        for row in record["rows"]
    ]
    return table([f"shuffled ({record['metric']} {record[record['metric']]:.4g})", "change", "95 %", ""], rows)
