"""Run dbt through its command line and read its JSON artifacts; the same for every engine."""

import contextlib
import errno
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ml import children, provenance, storage
from ml.contract.manifest import ancestors, features_node, models
from ml.errors import GateError, SkewlessError
from ml.hashing import hash_file
from ml.places import Places
from ml.storage import Storage
from ml.warehouse import Build, Connection, Progress, environment, failures

BAD = ("error", "fail", "runtime error", "skipped", "partial success")
REQUEST_ENGINE = "duckdb"  # its SQL answers requests, whatever engine builds the tables
MAX_MESSAGES = 5


@dataclass(frozen=True)
class Setup:
    """dbt in a checkout, on one target; the versions of `packages` decide what its SQL gives."""

    where: Storage
    checkout: Path
    target: str
    packages: tuple[str, ...]


def build(
    setup: Setup, project: str, load_ids: list[str], is_stored: Callable[[], bool],
    opened: Callable[[], AbstractContextManager[Connection]], progress: Progress,
) -> Build:  # fmt: skip
    """`dbt build` of a project and of all that it reads, unless nothing has changed since the last green one.

    `opened` reads the rows that fail a test; it is called while this build holds the workspace's lock.

    Raises:
        GateError, SkewlessError: as `failures.error` says.
    """
    where = setup.where
    fingerprint = _fingerprint(setup, project, load_ids)
    key = Places(where, project).build()
    with turn(setup, f"skewless build {project}", progress):
        last = storage.read_json(where, key)
        if last and last["fingerprint"] == fingerprint and invocation(where, "target") == last["invocation_id"] and is_stored():
            return Build(last["invocation_id"], last["nodes"], last["warnings"], unchanged=True)
        select = ["--select", f"+path:models/{project}", "path:tests/sql/singular/shared", f"path:tests/sql/singular/{project}"]
        said = _dbt(setup, ["build", "--target", setup.target, *select], "target", progress)
        if said is not None:
            raise _explained(setup, "target", "build", said, opened)
        results = _run_results(where, "target")
        statuses = [result["status"] for result in results["results"]]
        done = {"invocation_id": results["metadata"]["invocation_id"], "nodes": len(statuses), "warnings": statuses.count("warn")}
        storage.write_json(where, key, {"fingerprint": fingerprint, **done})
        return Build(**done, unchanged=False)


def compiled_manifest(setup: Setup, project: str, progress: Progress) -> dict[str, Any]:
    """The manifest with every model's SQL compiled for the engine that answers requests.

    Compiled into a target path of its own, because `dbt ls` and partial builds drop compiled code.
    """
    where = setup.where
    fingerprint = _fingerprint(setup, project, [])
    with turn(setup, f"skewless check {project}", progress):
        folder = storage.working_folder(where, where.own("compile"))
        if storage.read_json(where, where.own("compile", "fingerprint.json")) != fingerprint:
            storage.remove(where, where.own("compile", "fingerprint.json"))
            arguments = ["compile", "--target", REQUEST_ENGINE, "--no-introspect", "--no-populate-cache"]
            said = _dbt(setup, arguments, "compile", progress)
            if said is not None:
                raise _explained(setup, "compile", "compile", said, None)
            storage.write_json(where, where.own("compile", "fingerprint.json"), fingerprint)
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return manifest


def require_green(setup: Setup, project: str, load_ids: list[str], is_stored: Callable[[], bool]) -> str:
    """The invocation of the one build that is green for the feature table, all that it descends from, and its project.

    Raises:
        GateError: where there is none, it is red or partial, or a file was edited after it.
    """
    where = setup.where
    hint = f"run: skewless build {project}"
    if not is_stored() or not storage.exists(where, where.own("target", "run_results.json")):
        raise GateError(f"workspace {where.workspace} has no build of {project} to freeze", hint)
    results = _run_results(where, "target")
    if results["args"].get("which") != "build":
        raise GateError(f"the last dbt command was `dbt {results['args'].get('which')}`, which says nothing about the whole", hint)
    manifest = _manifest(where, "target")
    # The scorecard with its budgets and the quarantine are not ancestors of the features, but they judge the same rows.
    needed = ancestors(manifest, features_node(manifest, project)["unique_id"])
    needed |= {node["unique_id"] for node in models(manifest) if node["original_file_path"].startswith(f"models/{project}/")}
    tests = {
        name for name, node in manifest["nodes"].items()
        if node["resource_type"] == "test" and needed & set(node["depends_on"].get("nodes", []))
    } | {name for name, test in manifest.get("unit_tests", {}).items() if needed & set(test["depends_on"]["nodes"])}  # fmt: skip
    status = {result["unique_id"]: result for result in results["results"]}
    for name in sorted(needed | tests):
        if name not in status:
            raise GateError(f"the last build left out {name}", hint)
        if status[name]["status"] in BAD:
            raise GateError(
                f"{name} is red in the last build: {status[name]['message'] or status[name]['status']}", f"correct it, then {hint}"
            )
    last = storage.read_json(where, Places(where, project).build())
    invocation: str = results["metadata"]["invocation_id"]
    if not last or last["invocation_id"] != invocation or last["fingerprint"] != _fingerprint(setup, project, load_ids):
        began = min(
            datetime.fromisoformat(timing["started_at"])
            for result in results["results"]
            for timing in result["timing"]
            if timing.get("started_at")
        )
        for path in [*_dbt_files(setup.checkout, project), *_raw_files(where, project)]:
            if path.stat().st_mtime > began.timestamp():
                raise GateError(f"{path} changed after the last build", hint)
    return invocation


@contextlib.contextmanager
def turn(setup: Setup, purpose: str, progress: Progress) -> Iterator[None]:
    """Builds and readers of one workspace take turns: dbt's artifacts and DuckDB's file have one writer."""
    where = setup.where
    storage.working_folder(where, where.own())
    with storage.lock(where, where.own("build.lock"), purpose, lambda holder: progress(f"waiting for {holder}", 0, 0)):
        yield


def _dbt(setup: Setup, arguments: list[str], target: str, progress: Progress) -> list[str] | None:
    """Run dbt; None where it succeeds, else its messages of level error, whole."""
    where, checkout = setup.where, setup.checkout
    target_path = storage.working_folder(where, where.own(target))
    (target_path / "run_results.json").unlink(missing_ok=True)
    command = [str(Path(sys.executable).with_name("dbt")), "--log-format", "json", "--no-use-colors", *arguments]
    command += ["--target-path", str(target_path), "--project-dir", str(checkout), "--profiles-dir", str(checkout)]
    messages: list[str] = []
    try:
        process = subprocess.Popen(
            children.bound(command), cwd=checkout, env=environment(where), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError as error:
        raise SkewlessError(f"there is no dbt next to {sys.executable}", "install the project again: make setup") from error
    assert process.stdout is not None
    with children.ended_with(process):
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                messages.append(line.strip())
                continue
            data = event.get("data", {})
            if "index" in data and "total" in data and data.get("status") not in (None, "started"):
                progress(f"dbt {arguments[0]}", data["index"], data["total"])
            if event["info"]["level"] == "error":
                messages.append(event["info"]["msg"].strip())
    return messages if process.returncode else None


def _explained(
    setup: Setup, target: str, verb: str, messages: list[str], opened: Callable[[], AbstractContextManager[Connection]] | None
) -> Exception:
    """What to raise for a failed dbt command: of its nodes where any is red, else of its messages."""
    where = setup.where
    if any("No space left on device" in message for message in messages):
        return OSError(errno.ENOSPC, "No space left on device", where.uri(where.own(target)))
    log = f"dbt's log is {where.uri(where.own('logs', 'dbt.log'))}"
    path = storage.fetch(where, where.own(target, "run_results.json"))
    bad = [result for result in _run_results(where, target)["results"] if result["status"] in BAD] if path.exists() else []
    if bad and (found := failures.error(where, verb, _manifest(where, target), bad, opened, log)):
        return found
    # Where it could not write its own log, dbt prints the logging module's traceback.
    said = "\n".join(messages[:MAX_MESSAGES]).split("--- Logging error")[0].split("Traceback")[0].strip()
    said += f"\nand {len(messages) - MAX_MESSAGES} more messages" if len(messages) > MAX_MESSAGES else ""
    return SkewlessError(f"dbt {verb} failed: {said}", log)


def _run_results(where: Storage, target: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(storage.fetch(where, where.own(target, "run_results.json")).read_text())
    return found


def _manifest(where: Storage, target: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(storage.fetch(where, where.own(target, "manifest.json")).read_text())
    return found


def invocation(where: Storage, target: str) -> str | None:
    """The invocation of the last dbt command with this target path; None where none was completed."""
    try:
        return str(_run_results(where, target)["metadata"]["invocation_id"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _dbt_files(checkout: Path, project: str) -> list[Path]:
    folders = [checkout / "models" / project, checkout / "macros", checkout / "seeds", checkout / "tests" / "sql"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return sorted([*files, checkout / "dbt_project.yml", checkout / "profiles.yml"])


def _raw_files(where: Storage, project: str) -> list[Path]:
    return sorted(storage.fetch(where, f"raw/{project}").glob("*/*.parquet"))


def _fingerprint(setup: Setup, project: str, load_ids: list[str]) -> str:
    """The key of all that a build depends on: this package, the dbt files, the raw loads, the engine and its versions.

    The root is in it because the staging views name the raw files by their paths: a moved root needs a build.
    """
    files = {path.relative_to(setup.checkout).as_posix(): hash_file(path) for path in _dbt_files(setup.checkout, project)}
    versions = {name: importlib.metadata.version(name) for name in setup.packages}
    return provenance.key("ml.warehouse.dbt", root=setup.where.root, files=files, loads=load_ids, versions=versions, target=setup.target)
