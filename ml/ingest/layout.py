"""Layouts: what a raw table's files look like, as its dbt source declares it, and which table a header belongs to.

A layout is data: `models/<project>/staging/*sources.yml` names the columns in the order of the file, and `meta.ingest` the
delimiter, whether fields are quoted, how many trailing columns the header leaves out, and where files are found.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ml.contract.declared import yaml_of
from ml.contract.manifest import meta
from ml.contract.meta import SimulateMeta, SourceColumnMeta, SourceMeta
from ml.contract.validation import Place, read_or_raise
from ml.errors import SkewlessError
from ml.ingest.piece import Piece, opened, readable

PROVENANCE = [("raw_file", pa.string()), ("raw_row", pa.int64()), ("raw_load_id", pa.string())]
HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class RawTable:
    """A declared raw table: its business columns in file order, and the file to read when none is named."""

    project: str
    name: str
    columns: tuple[str, ...]
    delimiter: str
    package: str | None = None
    file: str | None = None
    quoted: bool = True
    unnamed: int = 0  # trailing columns that lines have and the header does not
    simulate: SimulateMeta | None = None  # what to simulate where nothing was ingested

    @property
    def key(self) -> str:
        return f"raw/{self.project}/{self.name}"

    @property
    def header(self) -> list[str]:
        return list(self.columns[: len(self.columns) - self.unnamed])

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self.columns] + PROVENANCE)


def raw_tables(checkout: Path, project: str) -> list[RawTable]:
    """The raw tables that a project declares as dbt sources.

    Raises:
        SkewlessError: for a file that is not YAML, or for meta that does not fit, naming file, entry and key.
    """
    tables = []
    for path in sorted((checkout / "models" / project).rglob("*.yml")):
        file = path.relative_to(checkout).as_posix()
        for source in yaml_of(path, checkout).get("sources", []):
            place = Place(file, source["name"])
            if read_or_raise(SourceMeta, meta(source), place).predictions:
                continue  # what `skewless predict` writes, to be read back
            tables += [_raw_table(project, table, meta(source).get("ingest", {}), place) for table in source["tables"]]
    return tables


def _raw_table(project: str, table: dict[str, Any], shared: dict[str, Any], source: Place) -> RawTable:
    place = Place(source.file, f"{source.entry}.{table['name']}")
    written = meta(table)
    read_or_raise(SourceMeta, written, place)
    own = read_or_raise(SourceMeta, {"ingest": {**shared, **written.get("ingest", {})}}, place).ingest
    for column in table["columns"]:
        read_or_raise(SourceColumnMeta, meta(column), Place(place.file, f"{place.entry}.{column['name']}"))
    return RawTable(
        project=project,
        name=table["name"],
        columns=tuple(column["name"] for column in table["columns"]),
        delimiter=own.delimiter,
        package=own.package,
        file=own.file,
        quoted=own.quoted,
        unnamed=own.unnamed,
        simulate=own.simulate,
    )


def header(piece: Piece, delimiter: str) -> list[str]:
    """The names in the first line of a text file, or the columns of a Parquet file; none for an empty one."""
    if piece.is_parquet:
        import pyarrow.parquet as pq

        with readable(piece):
            return [name.strip() for name in pq.read_schema(piece.path).names]
    with opened(piece) as file, readable(piece):
        line = file.read(HEADER_BYTES)
    text = io.StringIO(line.decode("utf-8-sig", errors="replace"), newline="")
    return [name.strip() for name in next(csv.reader(text, delimiter=delimiter), [])]


def require_header(piece: Piece, table: RawTable) -> None:
    """Refuse a file that is not what its table declares.

    Raises:
        SkewlessError: naming the columns that differ.
    """
    found = header(piece, table.delimiter)
    if found != table.header:
        raise SkewlessError(
            f"{piece.shown} is not a {table.name} file: {_difference(found, table.header)}",
            f"correct the file, or the columns of {table.name} in models/{table.project}/staging",
        )


def table_for(piece: Piece, tables: list[RawTable], documents: bool = False) -> RawTable | None:
    """The table whose header a file has; with `documents`, None for one that shares no column with any.

    Raises:
        SkewlessError: for a header that no table has, with the nearest and the columns that differ.
    """
    headers = {table.name: header(piece, table.delimiter) for table in tables}
    for table in tables:
        if headers[table.name] == table.header:
            return table
    common = {table.name: len(set(headers[table.name]) & set(table.header)) for table in tables}
    if documents and not any(common.values()):
        return None
    nearest = max(tables, key=lambda table: common[table.name] / len({*headers[table.name], *table.header}))
    raise SkewlessError(
        f"{piece.shown} has a header that no raw table of {nearest.project} has; the nearest is {nearest.name}: "
        f"{_difference(headers[nearest.name], nearest.header)}",
        f"correct the file, or the columns of {nearest.name} in models/{nearest.project}/staging",
    )


def _difference(found: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    parts = [f"it lacks {', '.join(missing)}"] if missing else []
    parts += [f"it has {', '.join(map(repr, extra))} besides"] if extra else []
    return " and ".join(parts) or "its columns are in another order or repeated"
