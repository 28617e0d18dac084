"""The verbs that train and judge the network."""

from typing import Any

from ml.console import table
from ml.verbs.outcome import Context, Outcome, lies


def train(context: Context) -> Outcome:
    from ml import train as room

    given = context.arguments
    config = room.with_changes(room.TrainConfig(), epochs=given.epochs, seed=given.seed)
    run = room.train(context.where, context.project, config, context.progress)
    place = lies(context, run.key)
    return Outcome(
        f"{run.id}: best of {run.epochs} epochs is {run.best_epoch + 1}, tuning score {run.score:.4g}, {place}",
        {"run": run.id, "epochs": run.epochs, "best_epoch": run.best_epoch, "score": run.score, "path": place},
        unchanged=run.unchanged, rows=run.rows * run.epochs,
    )  # fmt: skip


def evaluate(context: Context) -> Outcome:
    from ml import evaluate as room

    metrics, unchanged = room.evaluate(context.where, context.project, context.progress)
    return Outcome(score_line(metrics), metrics, unchanged=unchanged, rows=metrics["test"]["rows"], shown=(score_table(metrics),))


def score_line(metrics: dict[str, Any]) -> str:
    name = "rmse" if metrics["task"] == "regression" else "log_loss"
    parts = [f"{split} {name} {metrics[split][name]:.4g}" for split in ("test", "production") if metrics[split]]
    return f"run {metrics['run']}: {', '.join(parts)}"


def score_table(metrics: dict[str, Any]) -> Any:
    """The network beside its baselines, on the same rows; intervals resample whole groups."""
    name, second = ("rmse", "mae") if metrics["task"] == "regression" else ("log_loss", "auc")
    splits = [split for split in ("test", "production") if metrics[split]]
    headers = ["", *(f"{split} {what}" for split in splits for what in (name, second)), *(f"network minus it, {split}" for split in splits)]
    own = [["network", *(f"{metrics[split][what]:.4g}" for split in splits for what in (name, second)), *("" for _ in splits)]]
    for baseline, values in metrics["baselines"].items():
        cells = [f"{values[('' if split == 'test' else 'production_') + what]:.4g}" for split in splits for what in (name, second)]
        gaps = [values[("" if split == "test" else "production_") + "difference"] for split in splits]
        own.append(
            [
                baseline.replace("_", " "),
                *cells,
                *(f"{gap['point']:+.3g} [{gap['interval'][0]:+.3g}, {gap['interval'][1]:+.3g}]" for gap in gaps),
            ]
        )
    return table(headers, own)
