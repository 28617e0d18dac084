"""The interface to the engine that stores the tables: what every engine can do, and the factory that opens one.

Another engine is one module of this folder and its dispatched macros in macros/engine. What is asked through `Connection` is
plain SQL that every engine reads: an explicit list of columns of a relation, sums, counts, comparisons, `order by`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ml import storage
from ml.errors import UsageError
from ml.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[str, float, float], None]
ENGINES = ("duckdb",)


@dataclass(frozen=True)
class Build:
    """A green build: dbt's invocation, how many nodes ran, and how many tests among them only warned."""

    invocation_id: str
    nodes: int
    warnings: int
    unchanged: bool


class Connection(Protocol):
    """A warehouse open for reading. No build of this workspace runs while it is open."""

    def exists(self, relation: str) -> bool:
        """Whether the workspace has a table or view of this name."""

    def count(self, relation: str) -> int:
        """The rows of a relation."""

    def stream(self, sql: str) -> pa.RecordBatchReader:
        """The result of a query as record batches; without `order by` in no particular order."""

    def export(self, sql: str, folder: Path, part_column: str, parts: int) -> list[list[Path]]:
        """Write a query's result to Parquet below `folder`, partitioned by `part_column`, an integer in [0, parts) that is not written.

        Returns the files of each part; of a part without rows none. Rows within a part have no order, because engines keep none.
        """


class Warehouse(Protocol):
    """An engine with the relations of one workspace, and dbt, which builds them there."""

    def is_stored(self) -> bool:
        """Whether anything was built yet."""

    def size(self) -> int:
        """Bytes that the workspace's relations take; 0 where the engine cannot say."""

    def build(self, project: str, load_ids: list[str], progress: Progress) -> Build:
        """`dbt build` of a project and of all that it reads, unless nothing has changed since the last green one.

        Raises:
            GateError: naming the tests that are red: rule, load, share, budget and remedy.
            SkewlessError: naming the nodes whose SQL or contract failed, and why.
        """

    def last_invocation(self) -> str | None:
        """dbt's invocation that wrote the relations last; None where there is no record of one."""

    def compiled_manifest(self, project: str, progress: Progress) -> dict[str, Any]:
        """dbt's manifest, with the SQL of every model compiled for the engine that answers requests."""

    def require_green(self, project: str, load_ids: list[str]) -> str:
        """The invocation of the one build that is green for the feature table, its ancestors and its project.

        Raises:
            GateError: where there is none, it is red or partial, or a file was edited after it.
        """

    def connection(self, purpose: str, progress: Progress) -> AbstractContextManager[Connection]:
        """The warehouse open for reading, once no build of this workspace writes it; `purpose` is shown to others who wait."""


def open_warehouse(where: Storage, checkout: Path, target: str | None = None) -> Warehouse:
    """The warehouse of a workspace; `target` is an output of profiles.yml, SKEWLESS_TARGET where it is not given.

    Raises:
        UsageError: where no engine of that name can be read yet.
    """
    target = target or os.environ.get("SKEWLESS_TARGET", "duckdb")
    if target == "duckdb":
        from ml.warehouse import duckdb

        return duckdb.DuckDB.of(where, checkout)
    raise UsageError(f"SKEWLESS_TARGET must be one of {', '.join(ENGINES)}, got {target!r}", "unset it, or set it to duckdb")


def rows(opened: Connection, sql: str) -> list[dict[str, Any]]:
    """The result of a query that is small by design, a dictionary for each row."""
    found: list[dict[str, Any]] = opened.stream(sql).read_all().to_pylist()
    return found


def memory_limit() -> str:
    """What an engine in a step may take before it spills to disk, as DuckDB writes it; profiles.yml reads the same setting."""
    return os.environ.get("SKEWLESS_MEMORY", "4GB")


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
