"""Files to raw Parquet: every business column stays text as the file spells it, beside where it came from.

The raw tables of a project are the sources of its dbt project: `models/<project>/staging/*sources.yml` names the
columns, which are the header that a file must have, and where `skewless ingest` finds the files by itself.
"""

import codecs
import contextlib
import csv
import gzip
import hashlib
import importlib.util
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import yaml

from ml import storage
from ml.errors import SkewlessError
from ml.storage import Storage

BLOCK_BYTES = 4 << 20
PROVENANCE = [("raw_file", pa.string()), ("raw_row", pa.int64()), ("raw_load_id", pa.string())]
PREDICTED = pa.schema(
    [("row", pa.int64()), ("prediction", pa.float64()), ("lower", pa.float64()), ("upper", pa.float64()), ("flags", pa.string()),
     ("model_version", pa.string())]
)  # fmt: skip
REJECTS = pa.schema([*PROVENANCE, ("text", pa.string()), ("reason", pa.string())])
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class RawTable:
    """A declared raw table: its business columns in file order, and the file to read when none is named."""

    project: str
    name: str
    columns: tuple[str, ...]
    delimiter: str
    package: str | None
    file: str | None

    @property
    def key(self) -> str:
        return f"raw/{self.project}/{self.name}"

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self.columns] + PROVENANCE)


@dataclass(frozen=True)
class Load:
    """One file that was read: lines after the header = rows + rejects."""

    table: str
    file: str
    load_id: str
    rows: int
    rejects: int
    bytes: int
    unchanged: bool = False


def raw_tables(checkout: Path, project: str) -> list[RawTable]:
    """The raw tables that a project declares as dbt sources."""
    tables = []
    for path in sorted((checkout / "models" / project).rglob("*.yml")):
        try:
            sources = (yaml.safe_load(path.read_text()) or {}).get("sources", [])
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())
            raise SkewlessError(f"{path.relative_to(checkout)} is no YAML: {said}", "correct the line that it names") from error
        for source in sources:
            about = source.get("config", {}).get("meta", {})
            if about.get("predictions"):
                continue  # what `skewless predict` writes, to be read back
            shared = about.get("ingest", {})
            for table in source["tables"]:
                own = {**shared, **table.get("config", {}).get("meta", {}).get("ingest", {})}
                columns = tuple(column["name"] for column in table["columns"])
                tables.append(RawTable(project, table["name"], columns, own.get("delimiter", ","), own.get("package"), own.get("file")))
    return tables


def ensure_empty_tables(where: Storage, checkout: Path, projects: list[str]) -> None:
    """Leave an empty typed Parquet file in every raw table, and of predictions, so that `dbt build` never fails for want of files."""
    for table in (table for project in projects for table in raw_tables(checkout, project)):
        key = f"{table.key}/_empty.parquet"
        if not storage.exists(where, key) or pq.read_schema(storage.fetch(where, key)) != table.schema:
            empty = table.schema.empty_table()
            storage.write_file(where, key, lambda path, empty=empty: pq.write_table(empty, path))  # type: ignore[misc]
    for project in projects:
        key = where.own(project, "batches", "_empty", "answers.parquet")  # the source that reads predictions back
        if not storage.exists(where, key):
            storage.write_file(where, key, lambda path: pq.write_table(PREDICTED.empty_table(), path))


def ingest(where: Storage, checkout: Path, project: str, sources: list[Path], progress: Progress) -> list[Load]:
    """Read files into their raw tables: those given, told apart by their headers, or those that the project declares.

    Raises:
        SkewlessError: for a missing file, or a header that no declared table has, naming the difference.
    """
    tables = raw_tables(checkout, project)
    if sources:
        pairs = [(_table_for(path, tables), path) for path in _files(sources)]
    else:
        pairs = [(table, _declared_file(table, checkout)) for table in tables if table.file]
        for table, path in pairs:
            _require_header(path, table)
    if not pairs:
        raise SkewlessError(f"project {project} declares no files to ingest", f"name them: skewless ingest {project} FILE...")
    with storage.lock(where, f"raw/{project}/.lock", f"skewless ingest {project}", lambda holder: progress(f"waiting for {holder}", 0, 0)):
        return [_load(where, table, path, progress) for table, path in pairs]


def load_ids(where: Storage, checkout: Path, project: str) -> list[str]:
    """`table/load id` of everything in the project's raw tables, sorted."""
    return sorted(
        f"{table.name}/{name.removesuffix('.parquet')}"
        for table in raw_tables(checkout, project)
        for name in storage.names(where, table.key)
        if name.endswith(".parquet") and name != "_empty.parquet"
    )


def _load(where: Storage, table: RawTable, path: Path, progress: Progress) -> Load:
    load_id, size = _content_hash(path)
    key = f"{table.key}/{load_id}.parquet"
    record_key = f"raw/{table.project}/_loads/{table.name}/{load_id}.json"
    record = storage.read_json(where, record_key)
    if record and storage.exists(where, key):
        return Load(**{**record, "unchanged": True})

    load = Load(table.name, path.name, load_id, 0, 0, size)

    def fill(target: Path) -> None:
        """Rows, then rejects, then the record; the rename of the rows comes last and says that all of it stands."""
        nonlocal load
        rejects: list[dict[str, Any]] = []
        rows = done = 0
        with pq.ParquetWriter(target, table.schema, compression="zstd") as writer:
            for batch in read_rows(path, table, load_id, rejects):
                writer.write_batch(batch)
                rows, done = rows + batch.num_rows, done + batch.nbytes
                progress(f"{table.name} from {path.name}", done, size)
        load = Load(table.name, path.name, load_id, rows, len(rejects), size)
        if rejects:
            rejected = pa.Table.from_pylist(rejects, REJECTS)
            reject_key = f"raw/{table.project}/_rejects/{table.name}/{load_id}.parquet"
            storage.write_file(where, reject_key, lambda to: pq.write_table(rejected, to))
        storage.write_json(where, record_key, asdict(load))

    storage.write_file(where, key, fill)
    return load


def read_rows(path: Path, table: RawTable, load_id: str, rejects: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Batches of the table's schema; lines with another number of fields go to `rejects`, numbered like the rows."""
    found: list[int] = []

    def reject(row: pa_csv.InvalidRow) -> str:
        number = row.number - 1  # the parser counts the header
        found.append(number)
        reason = f"{row.actual_columns} fields where the header has {row.expected_columns}"
        rejects.append({"raw_file": path.name, "raw_row": number, "raw_load_id": load_id, "text": row.text, "reason": reason})
        return "skip"

    with _open(path) as file, _readable(path):
        file.readline()
        if not file.read(1):
            return  # a header alone; the parser wants at least one line after it
    with _open(path) as file, _readable(path):
        reader = pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=list(table.columns), skip_rows=1, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                delimiter=table.delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=reject
            ),
            convert_options=pa_csv.ConvertOptions(column_types={name: pa.string() for name in table.columns}, strings_can_be_null=False),
        )  # fmt: skip
        next_row = 1
        for batch in reader:
            numbers: list[int] = []
            skip = set(found)
            while len(numbers) < batch.num_rows:
                if next_row not in skip:
                    numbers.append(next_row)
                next_row += 1
            count = batch.num_rows
            columns = [*batch.columns, pa.array([path.name] * count), pa.array(numbers, pa.int64()), pa.array([load_id] * count)]
            yield pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _open(path: Path) -> IO[bytes]:
    """The bytes of a text file, unpacked if it is gzip or a zip with one member."""
    try:
        if path.suffix == ".gz":
            return gzip.open(path)  # type: ignore[return-value]
        if path.suffix == ".zip":
            archive = zipfile.ZipFile(path)
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if len(members) != 1:
                raise SkewlessError(f"{path} holds {len(members)} files where one was expected", "unpack it and name the files")
            return archive.open(members[0])
        return open(path, "rb")
    except FileNotFoundError as error:
        raise SkewlessError(f"there is no file {path}", "check the name") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise SkewlessError(f"{path} cannot be read: {error}", "check that the file is whole and that you may read it") from error


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file in whatever its bytes make the readers say."""
    try:
        yield
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, UnicodeDecodeError, pa.ArrowInvalid) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SkewlessError(f"{path} cannot be read: {said}", "check that the file is whole, UTF-8, and closes its quotes") from error


def _content_hash(path: Path) -> tuple[str, int]:
    """The load id, 16 hexadecimal digits of the sha256 of the unpacked bytes, and their number."""
    digest, size = hashlib.sha256(), 0
    decoder = codecs.getincrementaldecoder("utf-8")()  # text that is no UTF-8 is refused here, before a row is read
    with _open(path) as file, _readable(path):
        while block := file.read(1 << 20):
            digest.update(block)
            decoder.decode(block)
            size += len(block)
        decoder.decode(b"", final=True)
    return digest.hexdigest()[:16], size


def header(path: Path, delimiter: str) -> list[str]:
    """The names in the first line of a text file; none for an empty one."""
    with _open(path) as file, _readable(path), io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="") as text:
        return next(csv.reader(text, delimiter=delimiter), [])


def _require_header(path: Path, table: RawTable) -> None:
    found = header(path, table.delimiter)
    if found != list(table.columns):
        raise SkewlessError(
            f"{path} is no {table.name} file: {_difference(found, list(table.columns))}",
            f"correct the file, or the columns of {table.name} in models/{table.project}/staging",
        )


def _table_for(path: Path, tables: list[RawTable]) -> RawTable:
    headers = {table.name: header(path, table.delimiter) for table in tables}
    for table in tables:
        if headers[table.name] == list(table.columns):
            return table
    nearest = max(tables, key=lambda table: len(set(headers[table.name]) & set(table.columns)))
    raise SkewlessError(
        f"{path} has a header that no raw table of {nearest.project} has; the nearest is {nearest.name}: "
        f"{_difference(headers[nearest.name], list(nearest.columns))}",
        f"correct the file, or the columns of {nearest.name} in models/{nearest.project}/staging",
    )


def _difference(header: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in header]
    extra = [name for name in header if name not in expected]
    parts = [f"it lacks {', '.join(missing)}"] if missing else []
    parts += [f"it has {', '.join(map(repr, extra))} besides"] if extra else []
    return " and ".join(parts) or "its columns stand in another order or twice"


def _files(sources: list[Path]) -> list[Path]:
    files: list[Path] = []
    for source in sources:
        files += sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
    return files


def _declared_file(table: RawTable, checkout: Path) -> Path:
    assert table.file is not None
    if table.package is None:
        return checkout / "models" / table.project / table.file
    package = importlib.util.find_spec(table.package)  # finds without importing: some packages read data at import
    if package is None or not package.submodule_search_locations:
        raise SkewlessError(
            f"the package {table.package}, which carries {table.file}, is not installed", "run make again, or pip install it"
        )
    return Path(next(iter(package.submodule_search_locations)), table.file)
