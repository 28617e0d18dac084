"""The interface to the engine: another engine feeds a snapshot to the same rows, and no other module writes an engine's SQL."""

import ast
import contextlib
import json
import math
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CHECKOUT, Checkout

from ml import snapshot, storage
from ml.contract.read import contract_of
from ml.errors import GateError, UsageError
from ml.places import Places, identity
from ml.warehouse import Build, Connection, Progress, Warehouse, open_warehouse, relations
from ml.warehouse.duckdb import DuckDBConnection

QUIET: Progress = lambda label, done, total: None  # noqa: E731


@dataclass(frozen=True)
class SqliteConnection:
    """Arrow tables in SQLite, an engine with another dialect, types and order; results get the types of the columns they name."""

    opened: sqlite3.Connection
    types: dict[str, pa.DataType]

    @classmethod
    def of(cls, tables: dict[str, pa.Table]) -> "SqliteConnection":
        opened = sqlite3.connect(":memory:")
        opened.create_function("floor", 1, math.floor)
        types: dict[str, pa.DataType] = {}
        for name, table in tables.items():
            opened.execute(f"create table {name} ({', '.join(table.column_names)})")
            plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns]
            rows = list(zip(*(column.to_pylist() for column in plain), strict=True))
            opened.executemany(f"insert into {name} values ({', '.join('?' * table.num_columns)})", rows[::-1])
            types |= dict(zip(table.column_names, table.schema.types, strict=True))
        return cls(opened, types)

    def exists(self, relation: str) -> bool:
        return bool(self.opened.execute("select count(*) from sqlite_master where name = ?", [relation]).fetchone()[0])

    def count(self, relation: str) -> int:
        return int(self.opened.execute(f"select count(*) from {relation}").fetchone()[0])

    def stream(self, sql: str) -> pa.RecordBatchReader:
        return self._table(sql).to_reader()

    def export(self, sql: str, folder: Path, part_column: str, parts: int) -> list[list[Path]]:
        table = self._table(sql)
        written = []
        for part in range(parts):
            rows = table.filter(pa.compute.equal(table[part_column], part)).drop_columns([part_column])
            files = [folder / str(part) / f"{half}.parquet" for half in range(2)] if rows.num_rows else []
            for half, path in enumerate(files):  # a part may have several files
                path.parent.mkdir(parents=True, exist_ok=True)
                middle = rows.num_rows // 2
                pq.write_table(rows.slice(0, middle) if half == 0 else rows.slice(middle), path)
            written.append(files)
        return written

    def _table(self, sql: str) -> pa.Table:
        cursor = self.opened.execute(sql)
        names, rows = [name for name, *_ in cursor.description], cursor.fetchall()
        return pa.table([self._column(name, [row[place] for row in rows]) for place, name in enumerate(names)], names=names)

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        type_ = self.types.get(name)
        if type_ is not None and pa.types.is_boolean(type_):
            values = [None if value is None else bool(value) for value in values]
        return pa.array(values, type_)


@dataclass(frozen=True)
class SqliteWarehouse:
    """The fake engine: a manifest and Arrow tables that were read from elsewhere."""

    manifest: dict[str, Any]
    tables: dict[str, pa.Table]

    def is_stored(self) -> bool:
        return bool(self.tables)

    def size(self) -> int:
        return 0

    def last_invocation(self) -> str | None:
        return "elsewhere"

    def build(self, project: str, load_ids: list[str], progress: Progress) -> Build:
        raise GateError("this engine only reads")

    def compiled_manifest(self, project: str, progress: Progress) -> dict[str, Any]:
        return self.manifest

    def require_green(self, project: str, load_ids: list[str]) -> str:
        return "invocation"

    @contextlib.contextmanager
    def connection(self, purpose: str, progress: Progress) -> Iterator[Connection]:
        yield SqliteConnection.of(self.tables)


@pytest.fixture(scope="module")
def other(lived: Checkout) -> Warehouse:
    """The toy's relations in the other engine."""
    workspace = lived.root / "workspaces" / "default"
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as opened:
        names = [
            name for (name,) in opened.execute("select table_name from information_schema.tables where table_name like 'toy%'").fetchall()
        ]
        tables = {name: opened.execute(f"select * from {name}").to_arrow_table() for name in names}
    return SqliteWarehouse(json.loads((workspace / "compile" / "manifest.json").read_text()), tables)


@pytest.mark.parametrize("shard_rows", [1_000_000, 100])
def test_another_engine_gives_the_same_snapshot_row_for_row(
    lived: Checkout, other: Warehouse, tmp_path: Path, shard_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SHARD_ROWS", shard_rows)
    engines = {"duckdb": open_warehouse(storage.open_storage(str(lived.root), "default"), lived.folder), "sqlite": other}
    contract = contract_of(other.compiled_manifest("toy", QUIET), "toy")
    found = {}
    for name, engine in engines.items():
        folder, scratch = tmp_path / name, tmp_path / f"{name}.scratch"
        folder.mkdir()
        scratch.mkdir()
        with engine.connection("test", QUIET) as opened:
            counts = snapshot._freeze(opened, contract, folder, scratch, QUIET)["counts"]
        found[name] = counts, {str(path.relative_to(folder)): pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))}
    assert found["duckdb"][0] == found["sqlite"][0]
    assert list(found["duckdb"][1]) == list(found["sqlite"][1]) and len(found["duckdb"][1]) > (10 if shard_rows == 100 else 5)
    for path, table in found["duckdb"][1].items():
        assert table.num_rows and table.equals(found["sqlite"][1][path]), path


def test_another_engine_is_taken_and_kept_by_the_verb_of_snapshots(lived: Checkout, other: Warehouse) -> None:
    where = storage.open_storage(str(lived.root), "sqlite")
    manifest = other.compiled_manifest("toy", QUIET)
    contract = contract_of(manifest, "toy")
    taken = snapshot.take(where, other, contract, manifest, ["load"], QUIET)
    places = Places(where, "toy")
    folder = storage.fetch(where, places.snapshot(identity(places, "snapshot")))
    assert not taken.unchanged and sum(taken.counts.values()) == pq.read_table(folder / "features").num_rows
    assert snapshot.take(where, other, contract, manifest, ["load"], QUIET).unchanged


def test_books_and_scorecard_are_the_same_on_another_engine(lived: Checkout, other: Warehouse) -> None:
    here = open_warehouse(storage.open_storage(str(lived.root), "default"), lived.folder)
    found = []
    for engine in (here, other):
        with engine.connection("test", QUIET) as opened:
            found.append((relations.books(opened, "toy"), relations.scorecard(opened, "toy")))
    assert found[0] == found[1]
    books, card = found[0]
    assert books == {"raw": 502, "clean": 494, "quarantine": 6, "duplicates": 2}
    assert card and [row.rule for row in card] == ["delivered", "depot_open", "duplicate", "sent_at", "weight"]


def test_the_other_engine_keeps_the_protocol() -> None:
    """mypy reads this file as it reads ml; without a method of the Protocol, or with another signature, it says so."""
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports", str(Path(__file__))]
    done = subprocess.run(command, cwd=CHECKOUT, env={"MYPYPATH": "tests/python", "PATH": ""}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("parts", [7, 300])
def test_an_export_writes_one_file_a_part_however_many_there_are(tmp_path: Path, parts: int) -> None:
    with duckdb.connect() as opened:
        opened.execute(
            f"create table rows as select range as number, range % {parts} as part from range(600000) where range % {parts} <> 3"
        )
        files = DuckDBConnection(opened).export("select * from rows", tmp_path / "parts", "part", parts)
    assert [len(found) for found in files] == [int(part != 3) for part in range(parts)]
    assert len(list(tmp_path.rglob("*.parquet"))) == parts - 1
    table = pq.read_table(files[5][0], partitioning=None)
    assert table.column_names == ["number"] and {number % parts for number in table["number"].to_pylist()} == {5}


def test_an_engine_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SKEWLESS_TARGET must be one of duckdb, got 'oracle'"):
        open_warehouse(storage.open_storage(str(tmp_path), "default"), CHECKOUT, "oracle")


DIALECT = re.compile(
    r"::|group by all|order by all|semi join|arg_max|string_agg|filter \(|read_parquet|\bcopy \(|columns\(|qualify|using \(", re.IGNORECASE
)


def asked_of_a_warehouse(path: Path) -> list[str]:
    """The SQL that a module sends through the Protocol; all of a module that has no engine of its own for local files."""
    text = path.read_text()
    if not re.search(r"^import duckdb", text, re.MULTILINE):
        return [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if re.match(r"(opened\.(stream|export|count)|rows)$", ast.unparse(call.func))]


def test_no_other_module_opens_the_warehouse_or_sends_it_an_engines_dialect() -> None:
    files = [path for folder in ("ml", "serving") for path in sorted((CHECKOUT / folder).rglob("*.py"))]
    opening = [str(path.relative_to(CHECKOUT)) for path in files if "warehouse.duckdb" in path.read_text().replace("import", "")]
    assert opening == ["ml/warehouse/duckdb.py"]
    reading = [path for path in files if "from ml.warehouse" in path.read_text() and path.name != "duckdb.py"]
    assert {"snapshot.py", "quality.py", "sources.py", "relations.py"} <= {path.name for path in reading}
    for path in reading:
        asked = asked_of_a_warehouse(path)
        assert not [sql for sql in asked if DIALECT.search(sql)], path
        assert "DuckDBPyConnection" not in path.read_text() or path.name == "snapshot.py"  # which sorts shards in memory
    assert [sql for path in reading for sql in asked_of_a_warehouse(path) if "select" in sql and path.name == "snapshot.py"]
