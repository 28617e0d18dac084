"""`skewless run`: the verbs one after the other, each a process of its own, and a summary of their results."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ml import children
from ml.console import show
from ml.errors import GateError, SkewlessError, UsageError
from ml.verbs.network import score_table
from ml.verbs.outcome import Context, Outcome, shown_path
from ml.verbs.verb import EPOCHS, NO_PAGE, SEED, declare

log = logging.getLogger(__name__)
STEPS: tuple[tuple[str, list[str]], ...] = (
    ("ingest", []), ("build", []), ("check", []), ("snapshot", []), ("train", []), ("evaluate", []),
    ("package", []), ("serve", ["--check"]), ("promote", []), ("drift", []), ("quality", []), ("report", []),
)  # fmt: skip


@dataclass(frozen=True)
class StepResult:
    """What a step did: `printed` is its own JSON; `refused`: the gate kept the champion."""

    summary: str
    unchanged: bool
    printed: dict[str, Any]
    refused: bool = False


@declare(
    "all steps, from files to a served prediction; what has not changed is not redone",
    "skewless run flights",
    (EPOCHS, SEED, NO_PAGE),
)
def run(context: Context) -> Outcome:
    """The whole way from files to a served prediction. A drift verdict is reported and does not fail the run.

    Where the gate refuses the challenger, the champion stays; the run then ends with the gate's exit code.
    """
    quiet, began = context.arguments.json, time.monotonic()
    run_id = uuid.uuid4().hex[:8]
    done: dict[str, StepResult] = {}
    for verb, extra in STEPS:
        options = [*extra, *_options(context, verb), *_ids(verb, done)]
        started = time.monotonic()
        log.info("step %s begins", " ".join([verb, *options]))
        result = _step(context, verb, options, run_id)
        log.info("step %s is done: %s", verb, result.summary)
        done[verb] = result
        if not quiet:
            mark = "-" if result.refused else "=" if result.unchanged else "+"
            label = "serve --check" if verb == "serve" else verb
            note = "  (unchanged)" if result.unchanged and not result.refused else ""
            show(f"{mark} {label:<14}{time.monotonic() - started:6.1f} s  {result.summary}{note}")
    seconds = time.monotonic() - began
    redone = [verb for verb, result in done.items() if not result.unchanged and verb not in ("check", "drift", "quality", "report")]
    shown = () if quiet else _summary(context, done, redone)
    said = f"run {run_id} of {context.project} in {seconds:.0f} s; " + (
        f"redone: {', '.join(redone)}" if redone else "nothing had changed, nothing was redone"
    )
    refused = done["promote"].refused
    said += f"; {done['promote'].summary}" if refused else ""
    code = GateError.exit_code if refused else 0
    printed = {verb: result.printed for verb, result in done.items()}
    return Outcome(said, {"run": run_id, "seconds": round(seconds, 1), "steps": printed}, unchanged=not redone, code=code, shown=shown)


def _step(context: Context, verb: str, options: list[str], run_id: str) -> StepResult:
    from ml import registry, warehouse  # they load engines, which `skewless --help` does not wait for

    command = children.bound([sys.executable, "-m", "ml.cli", verb, context.project, "--json", *options])
    environment = {**warehouse.environment(context.where), "SKEWLESS_RUN_ID": run_id}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(context.checkout), os.environ.get("PYTHONPATH", "")]))
    finished = subprocess.run(command, cwd=context.checkout, env=environment, stdout=subprocess.PIPE, text=True)
    said: dict[str, Any] = json.loads(finished.stdout) if finished.stdout.strip() else {}
    stays = registry.champion(context.where, context.project) if verb == "promote" else None
    if finished.returncode == GateError.exit_code and stays:
        why = said.get("error", {}).get("message", "the gate gave no reason")
        summary = f"refused, {context.project}:{stays['version']} stays champion: {why}"
        return StepResult(summary, True, {"summary": summary, "unchanged": True, "refused": True, **stays}, refused=True)
    if finished.returncode not in (0, *((GateError.exit_code,) if verb == "drift" else ())):
        raise _failure(verb, finished.returncode, said)
    if "summary" not in said:  # drift, which has too few rows to judge
        said = {"summary": "too little was logged to judge", "unchanged": True}
    return StepResult(said["summary"], bool(said["unchanged"]), said)


def _failure(verb: str, code: int, said: dict[str, Any]) -> BaseException:
    """The failure of a step, with the class of its exit code and the step's own log."""
    if code == 130:
        return KeyboardInterrupt()
    kind = {UsageError.exit_code: UsageError, GateError.exit_code: GateError}.get(code, SkewlessError)
    given = said.get("error") or {"message": said.get("summary") or f"it ended with exit code {code} and printed no error", "hint": ""}
    failure = kind(f"{verb}: {given['message']}", given["hint"])
    failure.log = said.get("log")
    log.error("step %s failed with exit code %d; its log is %s", verb, code, failure.log)
    return failure


def _options(context: Context, verb: str) -> list[str]:
    """The options of `run` that a step takes."""
    given = context.arguments
    found: list[str] = []
    if verb == "train":
        found += ["--epochs", str(given.epochs)] if given.epochs is not None else []
        found += ["--seed", str(given.seed)] if given.seed is not None else []
    if verb == "drift" and given.no_page:
        found.append("--no-page")
    return found


def _ids(verb: str, done: dict[str, StepResult]) -> list[str]:
    """What a step works on: what the steps before it made, by id, so that two runs in one workspace do not mix."""
    if verb == "train":
        return ["--snapshot", done["snapshot"].printed["snapshot"]]
    if verb in ("evaluate", "package"):
        return ["--run", done["train"].printed["run"]]
    if verb in ("serve", "promote"):
        return ["--bundle", done["package"].printed["bundle"], *(["--keep-rollback"] if verb == "promote" else [])]
    return []


def _summary(context: Context, done: dict[str, StepResult], redone: list[str]) -> tuple[Any, ...]:
    from ml import records
    from ml.results import Metrics

    receipt, asked = done["package"].printed["receipt"], done["serve"].printed
    metrics = records.from_json(Metrics, {field.name: done["evaluate"].printed[field.name] for field in fields(Metrics)})
    books = done["build"].printed["books"]
    lines = [f"\n{context.project}: {metrics.target}"]
    if books:
        kept = f"{books['clean']:,} clean + {books['quarantine']:,} quarantined + {books['duplicates']:,} duplicates"
        lines.append(f"rows      {books['raw']:,} in = {kept}")
    covered = {split: metrics.split(split).coverage for split in metrics.splits}
    coverage = ", ".join(f"{share:.1%} of {split}" for split, share in covered.items() if share is not None)
    if coverage:
        lines.append(f"intervals hold the truth for {coverage}; 90 % were asked for")
    worst = max((entry["largest_difference"] for entry in receipt["features"].values()), default=0.0)
    lines.append(f"receipt   {receipt['verdict']}; largest difference {worst:g}")
    lines.append(
        f"requests  p50 {asked['p50_ms']} ms, p99 {asked['p99_ms']} ms; an empty endpoint of the same server {asked['empty_p50_ms']} ms"
    )
    if done["promote"].refused:
        lines.append(f"champion  {done['promote'].printed['version']} stays; the numbers above are those of the challenger")
    if "drift" in done:
        lines.append(f"drift     {done['drift'].summary}")
    example = json.dumps(done["check"].printed.get("example", {}))
    after = [
        "",
        "next:",
        f"  {_called(context)} serve {context.project} --port 3000",
        f"  curl -s localhost:3000/predict -H 'Content-Type: application/json' -d '{example}'",
        f"  xdg-open {shown_path(context, context.where.own('site', f'{context.project}.html'))}",
        f"  {_called(context)} models {context.project}",
        f"  {_called(context)} cost {context.project}",
        "",
    ]
    return ("\n".join(lines[:2] if books else lines[:1]), score_table(metrics), "\n".join([*lines[2 if books else 1 :], *after]))


def _called(context: Context) -> str:
    """How to call the command line from the checkout: by its name where the environment is active."""
    script = Path(sys.prefix, "bin", "skewless")
    if shutil.which("skewless") == str(script) or not script.exists():
        return "skewless"
    return str(script.relative_to(context.checkout) if script.is_relative_to(context.checkout) else script)
