"""One function for each verb: call its room, and say in one line what was done and where the result lies.

Rooms are imported inside the functions, so that `skewless --help` and the quick verbs do not wait for torch.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml import storage
from ml.console import Bar, size, table
from ml.errors import GateError, UsageError
from ml.storage import Storage


@dataclass(frozen=True)
class Context:
    """Where a verb works, and on what."""

    where: Storage
    checkout: Path
    project: str
    progress: Bar
    arguments: argparse.Namespace


@dataclass(frozen=True)
class Outcome:
    """What a verb did. `details` is what `--json` prints besides; `rows` and `bytes` go to the ledger."""

    summary: str
    details: dict[str, Any] = field(default_factory=dict)
    unchanged: bool = False
    code: int = 0
    rows: int = 0
    bytes: int = 0
    shown: tuple[Any, ...] = ()


def ingest(context: Context) -> Outcome:
    from ml import ingest as room

    room.ensure_empty_tables(context.where, context.checkout, project_names(context.checkout))
    sources = [Path(source) for source in context.arguments.source]
    loads = room.ingest(context.where, context.checkout, context.project, sources, context.progress)
    rows, rejects = sum(load.rows for load in loads), sum(load.rejects for load in loads)
    tables = len({load.table for load in loads})
    place = lies(context, f"raw/{context.project}")
    return Outcome(
        f"{rows:,} rows and {rejects:,} rejects of {len(loads)} files in {tables} raw tables, {place}",
        {"loads": [load.__dict__ for load in loads], "rows": rows, "rejects": rejects, "path": place},
        unchanged=all(load.unchanged for load in loads), rows=rows, bytes=sum(load.bytes for load in loads),
    )  # fmt: skip


def build(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml import warehouse

    raw.ensure_empty_tables(context.where, context.checkout, project_names(context.checkout))
    ids = raw.load_ids(context.where, context.checkout, context.project)
    built = warehouse.build(context.where, context.checkout, context.project, ids, context.progress)
    books = warehouse.books(context.where, context.project, context.progress)
    counted = ""
    if books:
        counted = (
            f"; {books['raw']:,} raw = {books['clean']:,} clean + {books['quarantine']:,} quarantined + {books['duplicates']:,} duplicates"
        )
    return Outcome(
        f"{built.nodes} dbt nodes green{f', {built.warnings} warned' if built.warnings else ''}{counted}",
        {"nodes": built.nodes, "warnings": built.warnings, "books": books, "invocation_id": built.invocation_id},
        unchanged=built.unchanged, rows=books["raw"] if books else 0,
    )  # fmt: skip


def check(context: Context) -> Outcome:
    from ml import snapshot

    contract, _ = snapshot.read_contract(context.where, context.checkout, context.project, context.progress)
    door = [rule.name for rule in contract.rules if rule.sql]
    return Outcome(
        f"{contract.task} of {contract.only('target')}: {len(contract.features)} features from {len(contract.inputs)} inputs and "
        f"{len(contract.lookups)} lookups; {len(door)} of {len(contract.rules)} rules hold at the door",
        {
            "task": contract.task,
            "target": contract.only("target"),
            "features": [column.name for column in contract.features],
            "inputs": [column.name for column in contract.inputs],
            "lookups": list(contract.lookups),
            "rules_at_the_door": door,
            "example": contract.example(),
            "rules_in_the_warehouse_only": [rule.name for rule in contract.rules if not rule.sql],
        },
    )


def snapshot(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml import snapshot as room

    ids = raw.load_ids(context.where, context.checkout, context.project)
    taken = room.take(context.where, context.checkout, context.project, ids, context.progress)
    counts = ", ".join(f"{count:,} {split}" for split, count in taken.counts.items())
    place = lies(context, taken.key)
    return Outcome(
        f"{taken.id}: {counts}, {place}",
        {"snapshot": taken.id, "counts": taken.counts, "path": place},
        unchanged=taken.unchanged, rows=sum(taken.counts.values()),
    )  # fmt: skip


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


def package(context: Context) -> Outcome:
    from ml import bundle, registry
    from ml import evaluate as evaluating

    metrics, _ = evaluating.evaluate(context.where, context.project, context.progress)
    made = bundle.package(context.where, context.project, metrics, context.progress)
    tag = registry.add(context.where, context.project, storage.fetch(context.where, made.key))
    return Outcome(
        f"{tag}: receipt over {made.receipt['verdict']}",
        {"version": made.id, "tag": tag, "receipt": made.receipt, "path": lies(context, made.key)},
        unchanged=made.unchanged, rows=made.receipt["rows"],
    )  # fmt: skip


def promote(context: Context) -> Outcome:
    from ml import registry

    done = registry.promote(context.where, context.project, context.arguments.version)
    after = f", after {done.previous}" if done.previous else ""
    if done.withheld:
        after = f"; {done.withheld} was rolled back, and --version {done.withheld} brings it back"
    return Outcome(f"{context.project}:{done.version} is champion{after}", {**done.__dict__}, done.unchanged)


def rollback(context: Context) -> Outcome:
    from ml import registry

    done = registry.rollback(context.where, context.project)
    return Outcome(
        f"{context.project}:{done.version} is champion again, in place of {done.previous}",
        {"version": done.version, "previous": done.previous},
    )


def models(context: Context) -> Outcome:
    from ml import registry

    found = registry.versions(context.where, context.project)
    metric = "rmse" if any("rmse" in version["test"] for version in found) else "log_loss"
    rows = [
        [("* " if version["champion"] else "  ") + version["version"], version["created_at"], version["snapshot"],
         f"{version['test'].get(metric, float('nan')):.3f}", f"{version['production'].get(metric, float('nan')):.3f}"]
        for version in found
    ]  # fmt: skip
    shown = table(["  version", "created", "snapshot", f"test {metric}", f"production {metric}"], rows)
    return Outcome(f"{len(found)} versions of {context.project}; * is champion", {"versions": found}, shown=(shown,) if found else ())


def serve(context: Context) -> Outcome:
    from ml import bundle, registry, rehearse

    folder = registry.champion_folder(context.where, context.project)
    about = bundle.verify(folder)
    if context.arguments.check:
        said, unchanged = rehearse.rehearse(context.where, context.checkout, context.project, folder, context.progress)
        error = f"RMSE {said['rmse']:.2f}" if "rmse" in said else f"Brier score {said['brier']:.4f}"
        return Outcome(
            f"{said['answered']:,} of {said['asked']:,} held-back rows answered, {error}; "
            f"p50 {said['p50_ms']} ms, p99 {said['p99_ms']} ms, {said['ratio_to_empty']} times an empty endpoint",
            said, unchanged=unchanged, rows=said["answered"],
        )  # fmt: skip
    host, port = context.arguments.host, context.arguments.port
    if not 0 < port < 65536:
        raise UsageError(f"there is no port {port}", "choose one from 1 to 65535")
    if rehearse.is_taken(host, port):
        raise UsageError(f"port {port} of {host} is taken", f"choose another: skewless serve {context.project} --port {port + 1}")
    from ml.console import show

    show(f"serving {context.project}:{about['id']} on http://{host}:{port} until Ctrl-C")
    # This process becomes the service, so that whoever stops it stops the service and leaves no worker behind.
    sys.stdout.flush()
    os.chdir(context.checkout)
    command = rehearse.service_command(port, host)
    os.execve(command[0], command, rehearse.service_environment(context.where, context.project))


def drift(context: Context) -> Outcome:
    from ml import drift as room
    from ml import registry

    folder = registry.champion_folder(context.where, context.project)
    found = room.drift(context.where, context.project, folder, not context.arguments.no_page, context.progress)
    rows = [
        [
            entry["name"],
            entry["role"],
            f"{entry['score']:.3f}",
            f"{entry['threshold']:g}",
            "moved" if entry["drifted"] else "",
            entry["says"],
        ]
        for entry in found.record["findings"]
    ]
    shown = table(["column", "role", "score", "threshold", "", "reference → log"], rows)
    page = f"; page {lies(context, found.page)}" if found.page else ""
    return Outcome(
        f"{found.record['verdict']}{page}",
        {**found.record, "page": found.page and context.where.uri(found.page)},
        unchanged=found.unchanged,
        code=GateError.exit_code if found.drifted else 0,
        rows=found.record["rows"],
        shown=(shown,),
    )


def cost(context: Context) -> Outcome:
    from ml import ledger

    totals = ledger.totals(ledger.entries(context.where, context.project))
    rows = [
        [
            total["step"],
            str(total["runs"]),
            f"{total['rows']:,}",
            f"{total['wall_s']:.1f}",
            f"{total['cpu_s']:.1f}",
            size(total["peak_memory_bytes"]),
            f"{total['cost_usd']:.2f}",
        ]
        for total in totals
    ]
    spent = sum(total["cost_usd"] for total in totals)
    shown = table(["step", "runs", "rows", "wall s", "CPU s", "peak memory", "USD"], rows)
    return Outcome(
        f"{sum(total['runs'] for total in totals)} step runs of {context.project}, {spent:.2f} USD paid to engines",
        {"steps": totals, "cost_usd": spent},
        shown=(shown,) if rows else (),
    )


def run(context: Context) -> Outcome:
    from ml import pipeline

    return pipeline.run(context)


def lies(context: Context, key: str) -> str:
    """Where a result lies, from the checkout if it is below it."""
    path = Path(context.where.uri(key))
    return str(path.relative_to(context.checkout) if path.is_relative_to(context.checkout) else path)


def project_names(checkout: Path) -> list[str]:
    """The projects of a checkout: the folders of models/."""
    return sorted(path.name for path in (checkout / "models").iterdir() if path.is_dir() and not path.name.startswith("."))


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


VERBS: dict[str, Callable[[Context], Outcome]] = {
    "run": run, "ingest": ingest, "build": build, "check": check, "snapshot": snapshot, "train": train, "evaluate": evaluate,
    "package": package, "promote": promote, "rollback": rollback, "models": models, "serve": serve, "drift": drift, "cost": cost,
}  # fmt: skip
