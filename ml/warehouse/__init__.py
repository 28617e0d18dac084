"""The only room that knows the engines: run dbt, make the manifest that the contract reads, read relations as Arrow."""

import contextlib
import errno
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ml import children, storage
from ml.contract.manifest import features_node, models
from ml.errors import GateError, SkewlessError
from ml.hashing import hash_file, hash_json
from ml.storage import Storage

Progress = Callable[[str, float, float], None]
BATCH_ROWS = 65_536
BAD = ("error", "fail", "runtime error", "skipped", "partial success")


@dataclass(frozen=True)
class Build:
    """A green build: dbt's invocation, how many nodes ran, and how many tests among them only warned."""

    invocation_id: str
    nodes: int
    warnings: int
    unchanged: bool


def build(where: Storage, checkout: Path, project: str, load_ids: list[str], progress: Progress) -> Build:
    """`dbt build` of a project and of all that it reads, unless nothing has changed since the last green one.

    Raises:
        SkewlessError: naming the nodes that failed and why.
    """
    fingerprint = _fingerprint(where, checkout, project, load_ids)
    key = where.own(project, "build.json")
    with _turn(where, f"skewless build {project}", progress):
        last = storage.read_json(where, key)
        if (
            last
            and last["fingerprint"] == fingerprint
            and _invocation(where, "target") == last["invocation_id"]
            and _database(where).exists()
        ):
            return Build(last["invocation_id"], last["nodes"], last["warnings"], unchanged=True)
        select = ["--select", f"+path:models/{project}", "path:tests/sql/singular/shared", f"path:tests/sql/singular/{project}"]
        _dbt(where, checkout, ["build", *select], "target", progress)
        results = _run_results(where, "target")
        statuses = [result["status"] for result in results["results"]]
        done = {"invocation_id": results["metadata"]["invocation_id"], "nodes": len(statuses), "warnings": statuses.count("warn")}
        storage.write_json(where, key, {"fingerprint": fingerprint, **done})
        return Build(**done, unchanged=False)


def compiled_manifest(where: Storage, checkout: Path, project: str, progress: Progress) -> dict[str, Any]:
    """The manifest with every model's SQL compiled for DuckDB, whatever engine builds the tables.

    Compiled into a target path of its own, because `dbt ls` and partial builds drop compiled code.
    """
    fingerprint = _fingerprint(where, checkout, project, [])
    with _turn(where, f"skewless check {project}", progress):
        folder = storage.working_folder(where, where.own("compile"))
        if storage.read_json(where, where.own("compile", "fingerprint.json")) != fingerprint:
            storage.remove(where, where.own("compile", "fingerprint.json"))
            _dbt(where, checkout, ["compile", "--target", "duckdb", "--no-introspect", "--no-populate-cache"], "compile", progress)
            storage.write_json(where, where.own("compile", "fingerprint.json"), fingerprint)
        return json.loads((folder / "manifest.json").read_text())


def require_green(where: Storage, checkout: Path, project: str, load_ids: list[str]) -> str:
    """The invocation of the one build that is green for the feature table, all that it descends from, and its project.

    Raises:
        GateError: where there is none, it is red or partial, or a file was edited after it.
    """
    hint = f"run: skewless build {project}"
    if not _database(where).exists() or not storage.exists(where, where.own("target", "run_results.json")):
        raise GateError(f"workspace {where.workspace} has no build of {project} to freeze", hint)
    results = _run_results(where, "target")
    if results["args"].get("which") != "build":
        raise GateError(f"the last dbt command was `dbt {results['args'].get('which')}`, which says nothing about the whole", hint)
    manifest = json.loads((storage.fetch(where, where.own("target", "manifest.json"))).read_text())
    # The scorecard with its budgets and the quarantine are no ancestors of the features, but they judge the same rows.
    needed = ancestors(manifest, features_node(manifest, project)["unique_id"])
    needed |= {node["unique_id"] for node in models(manifest) if node["original_file_path"].startswith(f"models/{project}/")}
    tests = {
        name for name, node in manifest["nodes"].items()
        if node["resource_type"] == "test" and needed & set(node["depends_on"]["nodes"])
    } | {name for name, test in manifest.get("unit_tests", {}).items() if needed & set(test["depends_on"]["nodes"])}  # fmt: skip
    status = {result["unique_id"]: result for result in results["results"]}
    for name in sorted(needed | tests):
        if name not in status:
            raise GateError(f"the last build left out {name}", hint)
        if status[name]["status"] in BAD:
            raise GateError(
                f"{name} is red in the last build: {status[name]['message'] or status[name]['status']}", f"mend it, then {hint}"
            )
    last = storage.read_json(where, where.own(project, "build.json"))
    invocation = results["metadata"]["invocation_id"]
    if not last or last["invocation_id"] != invocation or last["fingerprint"] != _fingerprint(where, checkout, project, load_ids):
        began = min(
            datetime.fromisoformat(timing["started_at"])
            for result in results["results"]
            for timing in result["timing"]
            if timing.get("started_at")
        )
        for path in [*_dbt_files(checkout, project), *_raw_files(where, project)]:
            if path.stat().st_mtime > began.timestamp():
                raise GateError(f"{path} changed after the last build", hint)
    return invocation


@contextlib.contextmanager
def connection(where: Storage, purpose: str, progress: Progress) -> Iterator[duckdb.DuckDBPyConnection]:
    """The workspace's warehouse, for reading, once no build of ours is writing it."""
    with _turn(where, purpose, progress), _opened(where) as opened:
        yield opened


def memory_limit() -> str:
    """What an engine in a step may take before it spills to disk, as DuckDB writes it; profiles.yml reads the same setting."""
    return os.environ.get("SKEWLESS_MEMORY", "4GB")


def _opened(where: Storage) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(_database(where)), read_only=True, config={"memory_limit": memory_limit()})
    except duckdb.IOException as error:
        raise SkewlessError(
            f"the warehouse of workspace {where.workspace} cannot be read: {error}",
            "if another program holds it open, close that; a second workspace works at the same time",
        ) from error


def stream(opened: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    """The result of a query as record batches of at most BATCH_ROWS rows."""
    return opened.execute(sql).to_arrow_reader(BATCH_ROWS)


def books(where: Storage, project: str, progress: Progress) -> dict[str, int] | None:
    """Raw, clean, quarantined and duplicate rows of a project, or None where it keeps no such relations."""
    with connection(where, f"skewless build {project}", progress) as opened:
        tables = {name for (name,) in opened.execute("select table_name from information_schema.tables").fetchall()}
        if not {f"{project}_{name}" for name in ("clean", "quarantine", "quality")} <= tables:
            return None
        counted = opened.execute(
            f"""select coalesce(sum(row_count), 0)::bigint, (select count(*) from {project}_clean), coalesce(sum(broken_count), 0)::bigint
            from {project}_quality where rule_name = 'duplicate'"""
        ).fetchone()
        assert counted is not None
        raw, clean, duplicates = counted
        # That the rest are the quarantined rows is a test of the build, whose scan need not be repeated here.
        return {"raw": raw, "clean": clean, "quarantine": raw - clean - duplicates, "duplicates": duplicates}


def environment(where: Storage) -> dict[str, str]:
    """The environment of a child process that works in this workspace; every dependency's telemetry is off."""
    return {
        **os.environ,
        "SKEWLESS_ROOT": where.root,
        "SKEWLESS_WORKSPACE": where.workspace,
        "DBT_LOG_PATH": str(storage.working_folder(where, where.own("logs"))),
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def _dbt(where: Storage, checkout: Path, arguments: list[str], target: str, progress: Progress) -> None:
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
        raise SkewlessError(f"there is no dbt beside {sys.executable}", "install the project again: make setup") from error
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
    if process.returncode:
        # Where it could not write its own log, dbt prints the logging module's traceback.
        said = _failures(where, target) or " ".join(messages[:5]).split("--- Logging error")[0].split("Traceback")[0].strip()
        if "No space left on device" in " ".join([said, *messages]):
            raise OSError(errno.ENOSPC, "No space left on device", where.uri(where.own(target)))
        raise SkewlessError(
            f"dbt {arguments[0]} failed: {said}",
            f"the log is {where.uri(where.own('logs', 'dbt.log'))}",
        )


def _failures(where: Storage, target: str) -> str:
    path = storage.fetch(where, where.own(target, "run_results.json"))
    if not path.exists():
        return ""
    bad = [r for r in json.loads(path.read_text())["results"] if r["status"] in BAD and r["status"] != "skipped"]
    lines = [f"{r['unique_id'].split('.', 2)[-1]} ({r['status']}): {' '.join((r['message'] or '').split())[:400]}" for r in bad]
    more = [f"and {len(lines) - 8} more"] if len(lines) > 8 else []
    return "".join(f"\n  {line}" for line in [*lines[:8], *more])


def _run_results(where: Storage, target: str) -> dict[str, Any]:
    return json.loads(storage.fetch(where, where.own(target, "run_results.json")).read_text())


def _invocation(where: Storage, target: str) -> str | None:
    try:
        return _run_results(where, target)["metadata"]["invocation_id"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def ancestors(manifest: dict[str, Any], name: str) -> set[str]:
    found = {name}
    for parent in manifest["nodes"][name]["depends_on"]["nodes"]:
        if parent in manifest["nodes"] and parent not in found:
            found |= ancestors(manifest, parent)
    return found


def _database(where: Storage) -> Path:
    return storage.fetch(where, where.own("warehouse.duckdb"))


@contextlib.contextmanager
def _turn(where: Storage, purpose: str, progress: Progress) -> Iterator[None]:
    """Builds in one workspace take turns: DuckDB has one writer."""
    storage.working_folder(where, where.own())
    with storage.lock(where, where.own("build.lock"), purpose, lambda holder: progress(f"waiting for {holder}", 0, 0)):
        yield


def _dbt_files(checkout: Path, project: str) -> list[Path]:
    folders = [checkout / "models" / project, checkout / "macros", checkout / "seeds", checkout / "tests" / "sql"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return sorted([*files, checkout / "dbt_project.yml", checkout / "profiles.yml"])


def _raw_files(where: Storage, project: str) -> list[Path]:
    return sorted(storage.fetch(where, f"raw/{project}").glob("*/*.parquet"))


def _fingerprint(where: Storage, checkout: Path, project: str, load_ids: list[str]) -> str:
    """The hash of all that a build depends on: the dbt files, the raw loads, the engine and its versions.

    The root is in it because the staging views name the raw files by their paths: a moved root needs a build.
    """
    files = {path.relative_to(checkout).as_posix(): hash_file(path) for path in _dbt_files(checkout, project)}
    versions = {name: importlib.metadata.version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")}
    return hash_json([where.root, files, load_ids, versions, os.environ.get("SKEWLESS_TARGET", "duckdb")])
