"""Files to raw Parquet: every business column stays text as the file spells it, with where it came from.

`source` finds the files that the caller means, `piece` opens them however they are packed, `layout` says which raw table a
header belongs to, `text` reads the rows and keeps the rejects. This module makes a load of them, which is stored whole or not at all.
"""

import contextlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml import storage
from ml.contract.meta import SimulateMeta
from ml.errors import SkewlessError
from ml.ingest import source
from ml.ingest.layout import PROVENANCE, RawTable, header, raw_tables, require_header, table_for
from ml.ingest.piece import Piece, content
from ml.ingest.source import only
from ml.ingest.text import REJECTS, read_rows
from ml.storage import Storage

__all__ = ["PREDICTED", "PROVENANCE", "REJECTS", "Load", "Piece", "RawTable", "header", "only", "raw_tables", "read_rows"]
PREDICTED = pa.schema(
    [("row", pa.int64()), ("prediction", pa.float64()), ("lower", pa.float64()), ("upper", pa.float64()), ("flags", pa.string()),
     ("model_version", pa.string())]
)  # fmt: skip
log = logging.getLogger(__name__)
LOAD_KEY = b"skewless.load"  # in the footer of a raw file: whose rows it holds
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Load:
    """One file that was read: lines after the header = rows + rejects."""

    table: str
    file: str
    load_id: str
    lines: int
    rows: int
    rejects: int
    bytes: int
    replaced: str | None = None
    unchanged: bool = False


def ensure_empty_tables(where: Storage, checkout: Path, projects: list[str]) -> None:
    """Leave an empty typed Parquet file in every raw table, and of predictions, so that `dbt build` works without files."""
    for table in (table for project in projects for table in raw_tables(checkout, project)):
        key = f"{table.key}/_empty.parquet"
        if not storage.exists(where, key) or pq.read_schema(storage.fetch(where, key)) != table.schema:
            empty = table.schema.empty_table()
            storage.write_file(where, key, lambda path, empty=empty: pq.write_table(empty, path))  # type: ignore[misc]
    for project in projects:
        key = where.own(project, "batches", "_empty", "answers.parquet")  # the source that reads predictions back
        if not storage.exists(where, key):
            storage.write_file(where, key, lambda path: pq.write_table(PREDICTED.empty_table(), path))


@dataclass(frozen=True)
class Ingested:
    """What one call read, and the documents that it skipped because they share no column with any table."""

    loads: list[Load]
    documents: list[str]


def ingest(where: Storage, checkout: Path, project: str, sources: list[str], progress: Progress, keep_both: bool = False) -> Ingested:
    """Read files into their raw tables: those given, recognised by their headers, or those that the project declares.

    A file of the same name as an earlier one of its table, with other content, takes that one's place; with `keep_both` both stay.

    Raises:
        SkewlessError: for a missing file, or a header that no declared table has, naming the difference.
    """
    tables = raw_tables(checkout, project)
    with contextlib.ExitStack() as held:
        purpose = f"skewless ingest {project}"
        held.enter_context(storage.lock(where, f"raw/{project}/.lock", purpose, lambda holder: progress(f"waiting for {holder}", 0, 0)))
        documents: list[str] = []
        if sources:
            scratch = held.enter_context(storage.scratch_folder(where))
            downloads = storage.working_folder(where, f"raw/{project}/_downloads")
            pairs = _recognised(source.find(sources, scratch, downloads, progress), tables, documents)
        else:
            pairs = iter(_declared(tables, checkout))
        there = {table.name: stored_loads(where, table) for table in tables}
        loads = [_load(where, table, piece, there[table.name], keep_both, progress) for table, piece in pairs]
    if not loads:
        raise SkewlessError(
            f"none of {len(documents)} files is a table of {project}: {', '.join(documents[:5])}"
            if documents
            else f"project {project} declares no files to ingest",
            f"name them: skewless ingest {project} FILE...",
        )
    return Ingested(loads, documents)


def declared_simulation(checkout: Path, project: str) -> SimulateMeta | None:
    """The simulation that is used where a project's files are too large to be included."""
    return next((table.simulate for table in raw_tables(checkout, project) if table.simulate), None)


def load_ids(where: Storage, checkout: Path, project: str) -> list[str]:
    """`table/load id` of everything in the project's raw tables, sorted."""
    return sorted(f"{table.name}/{load}" for table in raw_tables(checkout, project) for load in stored_loads(where, table))


def loads(where: Storage, checkout: Path, project: str) -> list[Load]:
    """The records of everything in the project's raw tables, by table and file."""
    found = [
        Load(**{"lines": 0, **record})
        for table in raw_tables(checkout, project)
        for load in stored_loads(where, table)
        if (record := storage.read_json(where, _record_key(table, load)))
    ]
    return sorted(found, key=lambda load: (load.table, load.file))


def remove(where: Storage, checkout: Path, project: str, unwanted: Callable[[Load], bool]) -> None:
    """Take loads out of the raw tables; what they held is gone."""
    tables = {table.name: table for table in raw_tables(checkout, project)}
    for load in filter(unwanted, loads(where, checkout, project)):
        table = tables[load.table]
        storage.remove(where, f"{table.key}/{stored_loads(where, table)[load.load_id]}.parquet")
        storage.remove(where, _record_key(table, load.load_id))
        storage.remove(where, _reject_key(table, load.load_id))


def _recognised(found: Iterator[source.Found], tables: list[RawTable], documents: list[str]) -> Iterator[tuple[RawTable, Piece]]:
    for one in found:
        table = table_for(one.piece, tables, documents=not one.is_named)
        if table is None:
            documents.append(one.piece.shown)
        else:
            yield table, one.piece


def _declared(tables: list[RawTable], checkout: Path) -> list[tuple[RawTable, Piece]]:
    pairs = [(table, piece) for table in tables if table.file for piece in [_declared_file(table, checkout)]]
    for table, piece in pairs:
        require_header(piece, table)
    return pairs


def stored_loads(where: Storage, table: RawTable) -> dict[str, str]:
    """The loads in a raw table: the name of the file, without its suffix, by load id.

    The footer says whose rows a file holds, so that a file that takes another's place does so in one rename.
    """
    found = {}
    for name in storage.names(where, table.key):
        if name.endswith(".parquet") and name != "_empty.parquet":
            stem = name.removesuffix(".parquet")
            metadata = pq.read_schema(storage.fetch(where, f"{table.key}/{name}")).metadata or {}
            found[metadata.get(LOAD_KEY, stem.encode()).decode()] = stem
    return found


def _load(where: Storage, table: RawTable, piece: Piece, there: dict[str, str], keep_both: bool, progress: Progress) -> Load:
    size = piece.path.stat().st_size if piece.path.exists() else 0
    read = content(piece, lambda done: progress(f"reading {piece.name}", done, 0 if piece.member else size))
    record = storage.read_json(where, _record_key(table, read.id))
    if record and read.id in there:
        log.info("%s is unchanged: its content is load %s of %s", piece.shown, read.id, table.name)
        return Load(**{"lines": record["rows"] + record["rejects"], **record, "unchanged": True})
    if not read.is_utf8 and table.quoted:
        raise SkewlessError(f"{piece.shown} cannot be read: it is not UTF-8", "save it as UTF-8, or check that the file is whole")
    replaced = None if keep_both else _of_the_same_name(where, table, piece, there)
    stem = there[replaced] if replaced else read.id
    load = Load(table.name, piece.name, read.id, 0, 0, 0, read.bytes, replaced)

    def fill(target: Path) -> None:
        """Rows, then rejects, then the record; the rename of the rows comes last and marks all of it as complete."""
        nonlocal load
        rejects: list[dict[str, Any]] = []
        rows = done = 0
        with pq.ParquetWriter(target, table.schema.with_metadata({LOAD_KEY: read.id}), compression="zstd") as writer:
            for batch in read_rows(piece, table, read.id, rejects, read.is_utf8):
                writer.write_batch(batch)
                rows, done = rows + batch.num_rows, done + batch.nbytes
                progress(f"writing {piece.name}", min(done, read.bytes), read.bytes)
        load = replace(load, lines=rows + len(rejects), rows=rows, rejects=len(rejects))
        _require_books(load, piece, table, read.lines)
        if rejects:
            rejected = pa.Table.from_pylist(rejects, REJECTS)
            storage.write_file(where, _reject_key(table, read.id), lambda to: pq.write_table(rejected, to))
        storage.write_json(where, _record_key(table, read.id), asdict(load))
        if replaced:
            storage.keep(where, f"{table.key}/{stem}.parquet", f"raw/{table.project}/_replaced/{table.name}/{replaced}.parquet")

    storage.write_file(where, f"{table.key}/{stem}.parquet", fill)
    log.info("%s is load %s of %s: %d rows, %d rejects, instead of %s", piece.shown, read.id, table.name, load.rows, load.rejects, replaced)
    if replaced:
        there.pop(replaced)
        storage.remove(where, _record_key(table, replaced))
        storage.remove(where, _reject_key(table, replaced))
    there[read.id] = stem
    return load


def _require_books(load: Load, piece: Piece, table: RawTable, lines: int) -> None:
    """Where no field can hold a line break, the lines were counted before they were parsed."""
    if not table.quoted and not piece.is_parquet and load.lines != lines - 1:
        raise SkewlessError(
            f"{piece.shown} has {lines - 1:,} lines after its header, and {load.rows:,} rows and {load.rejects:,} rejects were read",
            "this is a defect; report it with the file",
        )


def _of_the_same_name(where: Storage, table: RawTable, piece: Piece, there: dict[str, str]) -> str | None:
    for load in there:
        record = storage.read_json(where, _record_key(table, load))
        if record and Piece(record["file"], piece.path).plain_name == piece.plain_name:
            return load
    return None


def _record_key(table: RawTable, load: str) -> str:
    return f"raw/{table.project}/_loads/{table.name}/{load}.json"


def _reject_key(table: RawTable, load: str) -> str:
    return f"raw/{table.project}/_rejects/{table.name}/{load}.parquet"


def _declared_file(table: RawTable, checkout: Path) -> Piece:
    assert table.file is not None
    path = checkout / "models" / table.project / table.file
    if table.package is not None:
        package = importlib.util.find_spec(table.package)  # finds without importing: some packages read data at import
        if package is None or not package.submodule_search_locations:
            raise SkewlessError(
                f"the package {table.package}, which carries {table.file}, is not installed", "run make again, or pip install it"
            )
        path = Path(next(iter(package.submodule_search_locations)), table.file)
    return source.only(path)
