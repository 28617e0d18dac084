"""The embedded engine: one DuckDB file a workspace."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ml import storage
from ml.errors import SkewlessError
from ml.storage import Storage
from ml.warehouse import Build, Progress, dbt, memory_limit

BATCH_ROWS = 65_536
PACKAGES = ("dbt-core", "dbt-duckdb", "duckdb")


@dataclass(frozen=True)
class DuckDBConnection:
    """Queries of an open file."""

    opened: duckdb.DuckDBPyConnection

    def exists(self, relation: str) -> bool:
        """Whether the file has a table or view of this name."""
        found = self.opened.execute("select count(*) from information_schema.tables where table_name = ?", [relation]).fetchone()
        return found is not None and found[0] > 0

    def count(self, relation: str) -> int:
        """The rows of a relation."""
        found = self._execute(f"select count(*) from {relation}").fetchone()
        assert found is not None
        return int(found[0])

    def stream(self, sql: str) -> pa.RecordBatchReader:
        """The result of a query as record batches of at most BATCH_ROWS rows."""
        return self._execute(sql).to_arrow_reader(BATCH_ROWS)

    def export(self, sql: str, folder: Path, part_column: str, parts: int) -> list[list[Path]]:
        """One file for each part that has rows."""
        # DuckDB closes a file and begins another when more parts are open than this; its own limit is 100.
        self._execute(f"set partitioned_write_max_open_files = {max(parts, 1)}")
        self._execute(
            f"copy ({sql}) to '{_quoted(folder)}' (format parquet, partition_by ({part_column}), compression lz4, overwrite_or_ignore)"
        )
        return [sorted((folder / f"{part_column}={number}").glob("*.parquet")) for number in range(parts)]

    def _execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        try:
            return self.opened.execute(sql)
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            raise SkewlessError(f"the warehouse refuses a query: {error}", "build the project again") from error


@dataclass(frozen=True)
class DuckDB:
    """The file of one workspace, and dbt with its DuckDB adapter."""

    setup: dbt.Setup

    @classmethod
    def of(cls, where: Storage, checkout: Path) -> "DuckDB":
        """The file of a workspace, whether it exists yet or not."""
        return cls(dbt.Setup(where, checkout, "duckdb", PACKAGES))

    def is_stored(self) -> bool:
        """Whether the file exists."""
        return self._database().exists()

    def size(self) -> int:
        """Bytes of the file."""
        return storage.size(self.setup.where, self.setup.where.own("warehouse.duckdb"))

    def build(self, project: str, load_ids: list[str], progress: Progress) -> Build:
        """`dbt build`; DuckDB has one writer, so that builds of a workspace take turns."""
        return dbt.build(self.setup, project, load_ids, self.is_stored, self._opened, progress)

    def last_invocation(self) -> str | None:
        """The invocation in dbt's own record of its last run."""
        return dbt.invocation(self.setup.where, "target")

    def compiled_manifest(self, project: str, progress: Progress) -> dict[str, Any]:
        """dbt's manifest with every model's SQL compiled."""
        return dbt.compiled_manifest(self.setup, project, progress)

    def require_green(self, project: str, load_ids: list[str]) -> str:
        """The invocation of the last build, which must be green and complete."""
        return dbt.require_green(self.setup, project, load_ids, self.is_stored)

    @contextlib.contextmanager
    def connection(self, purpose: str, progress: Progress) -> Iterator[DuckDBConnection]:
        """The file, for reading, once no build of this workspace writes it."""
        with dbt.turn(self.setup, purpose, progress), self._opened() as opened:
            yield opened

    @contextlib.contextmanager
    def _opened(self) -> Iterator[DuckDBConnection]:
        try:
            opened = duckdb.connect(str(self._database()), read_only=True, config={"memory_limit": memory_limit()})
        except duckdb.IOException as error:
            raise SkewlessError(
                f"the warehouse of workspace {self.setup.where.workspace} cannot be read: {error}",
                "if another program has it open, close that; a second workspace works at the same time",
            ) from error
        with opened:
            yield DuckDBConnection(opened)

    def _database(self) -> Path:
        return storage.fetch(self.setup.where, self.setup.where.own("warehouse.duckdb"))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
