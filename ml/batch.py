"""The champion over a whole file, on the path that a request takes: the same parser, rules, features and network.

Rows are read, answered and written in batches, so that a file of any length needs the memory of one of them. Each row is
answered or rejected: rows = answered + rejected. Columns that are not inputs are passed through, because they may hold ids.
"""

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ml import answers, ingest, provenance, storage
from ml.bundle import Bundle, receipt
from ml.contract import Contract
from ml.errors import SkewlessError, UsageError
from ml.hashing import hash_file
from ml.online.parse import Refusal, request_row
from ml.places import Places
from ml.storage import Storage

BATCH_ROWS = 5_000
READABLE = (".csv", ".csv.gz", ".csv.zip", ".parquet")
SUFFIXES = (".parquet", ".csv")
OWN = list(ingest.PREDICTED)
REJECTS = pa.schema([("row", pa.int64()), ("field", pa.string()), ("rule", pa.string()), ("value", pa.string()), ("message", pa.string())])
Progress = Callable[[str, float, float], None]


@dataclass
class Books:
    """How many rows of a file were answered and rejected, and where the answers are stored."""

    out: str
    rejects: str | None = None
    rows: int = 0
    answered: int = 0
    rejected: int = 0
    carried: tuple[str, ...] = ()
    version: str = ""
    unchanged: bool = False
    bytes: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def predict(where: Storage, project: str, folder: Path, source: Path, out: Path | None, progress: Progress) -> Books:
    """Answer every row of a CSV (csv, csv.gz, csv.zip; every value is text, an empty one is missing) or Parquet file.

    `out`: a .parquet or .csv file; rejects are stored next to it as NAME.rejects.SUFFIX. Without it both are stored in the
    workspace, where the project's dbt source of predictions reads them, and the same file is not answered twice by the same version.

    Raises:
        UsageError: for a file that is not there, a suffix that cannot be written, or columns that cannot be inputs.
    """
    if not source.is_file():
        raise UsageError(f"there is no file {source}", f"check the name: skewless predict {project} FILE")
    if not source.name.endswith(READABLE):
        raise UsageError(f"{source} must be one of {', '.join(READABLE)}", "save it as one of them")
    if out is not None and out.suffix not in SUFFIXES:
        raise UsageError(f"{out} is neither a .parquet nor a .csv file", "choose one of the two")
    if out is not None and out.absolute() == source.absolute():
        raise UsageError(f"{out} is the file that is read", "write to another")
    places = Places(where, project)
    books = Books(str(out), version=folder.name, bytes=source.stat().st_size)
    if out is None:
        made_from = provenance.key("ml.batch", file=hash_file(source), bundle=folder.name)
        key = places.batch(f"{hash_file(source)[:16]}-{folder.name}-{made_from}")
        record = storage.read_json(where, f"{key}/books.json")
        if record:
            return Books(**{**record, "carried": tuple(record["carried"]), "unchanged": True})
        out, books.out = storage.working_file(where, f"{key}/answers.parquet"), where.uri(f"{key}/answers.parquet")
        _answer(receipt.load(places, folder), source, out, books, progress)
        storage.write_json(where, f"{key}/books.json", vars(books))
        return books
    _answer(receipt.load(places, folder), source, out, books, progress)
    return books


def _answer(loaded: Bundle, source: Path, out: Path, books: Books, progress: Progress) -> None:
    rejects = out.with_name(f"{out.stem}.rejects{out.suffix}")
    malformed: list[Refusal] = []
    batches = _parquet(source) if source.suffix == ".parquet" else _csv(source, malformed)
    types = _types(source)
    books.carried = tuple(_carried(loaded.contract, types.names, source))

    def write(path: Path) -> None:
        bad = path.with_name(rejects.name)
        schema = _schema(books.carried, types)
        with _Writer(path, schema) as good, _Writer(bad, REJECTS) as refused:
            for table in batches:
                books.rows += table.num_rows + len(malformed)
                answered, refusals = answer_table(loaded, table, books.carried, source.suffix != ".parquet")
                refusals += malformed
                malformed.clear()
                good.write(answered.cast(schema))
                refused.write(_refusals(refusals))
                rejected = len({refusal.row for refusal in refusals})
                books.answered += answered.num_rows
                books.rejected += rejected
                for refusal in refusals:
                    books.reasons[refusal.rule] = books.reasons.get(refusal.rule, 0) + 1
                progress(f"predicting {source.name}", books.rows, 0)
        if books.rows != books.answered + books.rejected:
            hint = "this is a defect; report it with the file"
            raise SkewlessError(f"{books.rows:,} rows are not {books.answered:,} answered and {books.rejected:,} rejected", hint)
        rejects.unlink(missing_ok=True)
        if books.rejected:
            bad.replace(rejects)  # before the answers, which mark all of it as complete
            books.rejects = str(rejects)

    storage.write_next_to(out, write)


def answer_table(loaded: Bundle, table: pa.Table, carried: tuple[str, ...], text: bool) -> tuple[pa.Table, list[Refusal]]:
    """Answers for the rows that can have one, and the refusals of the others."""
    contract = loaded.contract
    wanted = [column for column in contract.inputs if column.name in table.column_names]
    columns = {column.name: table[column.name].to_pylist() for column in wanted}
    read = {column.name: READ[column.type] for column in wanted} if text else {}
    numbers = table["row"].to_pylist()
    rows = [
        {name: read[name](values[index]) if text else values[index] for name, values in columns.items()} for index in range(table.num_rows)
    ]
    rows = [request_row(row) for row in rows]
    answered = answers.answer(loaded, rows)
    kept, predicted = answered.rows, answered.predictions
    nothing = pa.nulls(len(kept), pa.float64())
    out = {
        "row": pa.array([numbers[index] for index in kept], pa.int64()),
        **{name: table[name].take(pa.array(kept)) for name in carried},
        "prediction": pa.array(predicted.prediction),
        "lower": nothing if predicted.lower is None else pa.array(predicted.lower),
        "upper": nothing if predicted.upper is None else pa.array(predicted.upper),
        "flags": pa.array([" ".join(names) for names in answered.flags], pa.string()),
        "model_version": pa.array([loaded.id] * len(kept), pa.string()),
    }
    return pa.table(out), [replace(refusal, row=numbers[refusal.row]) for refusal in answered.refusals]


def _types(source: Path) -> pa.Schema:
    """The columns of a file; those of a CSV are text."""
    if source.suffix != ".parquet":
        return pa.schema([(name, pa.string()) for name in ingest.header(ingest.only(source), ",")])
    try:
        return pq.read_schema(source)
    except pa.ArrowInvalid as error:
        raise SkewlessError(f"{source} cannot be read: {str(error).splitlines()[0]}", "check that the file is whole") from error


def _schema(carried: tuple[str, ...], types: pa.Schema) -> pa.Schema:
    return pa.schema([OWN[0], *(types.field(name) for name in carried), *OWN[1:]])


def _carried(contract: Contract, names: list[str], source: Path) -> list[str]:
    """The columns to pass through. One that looks like an input that is absent was meant as that input, and is refused."""
    known = [column.name for column in contract.inputs]
    absent = [name for name in known if name not in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{source} has the column {twice} twice", "give each column a name of its own")
    for name in (name for name in names if name not in known):
        near = difflib.get_close_matches(name, absent, 1, 0.8)
        if near:
            raise UsageError(
                f"{source} has a column {name}; did you mean {near[0]}?", f"rename it, or take it out; the inputs are {', '.join(known)}"
            )
    required = [column.name for column in contract.inputs if column.required and column.name in absent]
    if required:
        raise UsageError(f"{source} lacks the columns {', '.join(required)}", f"the inputs are {', '.join(known)}")
    own = {column.name for column in OWN}
    clash = [name for name in names if name in own and name not in known]
    if clash:
        raise UsageError(f"{source} has a column {clash[0]}, which the answer also has", "rename it")
    return [name for name in names if name not in known]


def _parquet(source: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file:
            start = 1
            for batch in file.iter_batches(BATCH_ROWS):
                yield pa.Table.from_batches([batch]).append_column("row", pa.array(range(start, start + batch.num_rows), pa.int64()))
                start += batch.num_rows
    except pa.ArrowInvalid as error:
        raise SkewlessError(f"{source} cannot be read: {str(error).splitlines()[0]}", "check that the file is whole") from error


def _csv(source: Path, malformed: list[Refusal]) -> Iterator[pa.Table]:
    """Text columns; lines with another number of fields become refusals, numbered like the rows."""
    piece = ingest.only(source)
    table = ingest.RawTable("", "", tuple(ingest.header(piece, ",")), ",")
    rejects: list[dict[str, Any]] = []
    for batch in ingest.read_rows(piece, table, "", rejects):
        whole = pa.Table.from_batches([batch]).drop_columns(["raw_file", "raw_load_id"]).rename_columns([*table.columns, "row"])
        malformed += [Refusal(entry["raw_row"], "", "fields", entry["text"], entry["reason"]) for entry in rejects]
        rejects.clear()
        for start in range(0, whole.num_rows, BATCH_ROWS):
            yield whole.slice(start, BATCH_ROWS)
    if rejects:
        malformed += [Refusal(entry["raw_row"], "", "fields", entry["text"], entry["reason"]) for entry in rejects]
        yield pa.schema([*((name, pa.string()) for name in table.columns), ("row", pa.int64())]).empty_table()


def _refusals(refusals: list[Refusal]) -> pa.Table:
    rows = [refusal.to_dict() for refusal in sorted(refusals, key=lambda refusal: refusal.row)]
    return pa.Table.from_pylist([{**row, "value": None if row["value"] is None else str(row["value"])} for row in rows], REJECTS)


class _Writer:
    """Record batches to Parquet or CSV, by the suffix of the file's name."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._out = pq.ParquetWriter(path, schema, compression="zstd") if path.suffix == ".parquet" else pa_csv.CSVWriter(path, schema)

    def write(self, table: pa.Table) -> None:
        if table.num_rows:
            self._out.write_table(table)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()


def _number(text: str) -> Any:
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", text) else text


READ: dict[str, Callable[[str], Any]] = {
    "text": lambda text: text or None,
    "integer": lambda text: _number(text.strip()) if text.strip() else None,
    "double": lambda text: _number(text.strip()) if text.strip() else None,
    "boolean": lambda text: {"": None, "true": True, "false": False}.get(text.strip().lower(), text),
    "timestamp": lambda text: text.strip() or None,
    "date": lambda text: text.strip() or None,
}
