"""A text or Parquet file → record batches of its raw table; a line that is not a row is kept with its number and the reason."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ml.errors import SkewlessError
from ml.ingest.layout import PROVENANCE, RawTable
from ml.ingest.piece import Piece, Repaired, opened, readable

BLOCK_BYTES = 4 << 20
REJECTS = pa.schema([*PROVENANCE, ("text", pa.string()), ("reason", pa.string())])


def read_rows(piece: Piece, table: RawTable, load_id: str, rejects: list[dict[str, Any]], is_utf8: bool = True) -> Iterator[pa.RecordBatch]:
    """Batches of the table's schema; lines with another number of fields, or that are not UTF-8, go to `rejects`, numbered
    like the rows, from 1 after the header.
    """
    if piece.is_parquet:
        yield from _parquet_rows(piece, table, load_id)
        return
    found: list[int] = []
    damaged: dict[int, str] = {}

    def reject(row: pa_csv.InvalidRow) -> str:
        number = row.number - 1  # the parser counts the header
        found.append(number)
        owner = "lines have" if table.unnamed else "the header has"
        reason = f"{row.actual_columns} fields where {owner} {row.expected_columns}"
        rejects.append({"raw_file": piece.name, "raw_row": number, "raw_load_id": load_id, "text": row.text, "reason": reason})
        return "skip"

    with opened(piece) as file, readable(piece):
        file.readline()
        if not file.read(1):
            return  # a header alone; the parser wants at least one line after it
    with opened(piece) as file, readable(piece):
        reader = pa_csv.open_csv(
            file if is_utf8 else pa.PythonFile(Repaired(file, damaged), mode="r"),
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=list(table.columns), skip_rows=1, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                delimiter=table.delimiter, quote_char='"' if table.quoted else False, newlines_in_values=table.quoted,
                ignore_empty_lines=False, invalid_row_handler=reject,
            ),
            convert_options=pa_csv.ConvertOptions(column_types={name: pa.string() for name in table.columns}, strings_can_be_null=False),
        )  # fmt: skip
        next_row, blank = 1, _Ascending(_blank_lines(piece, table))
        for batch in reader:
            numbers = _numbers(next_row, batch.num_rows, found)
            if batch.num_rows:
                next_row = int(numbers[-1]) + 1
                found = [number for number in found if number >= next_row]
            empty = _empty(batch)
            if empty is not None:  # the parser gives the same row for an empty line and for a line of empty fields
                for place in np.flatnonzero(empty).tolist():
                    number = int(numbers[place])
                    if number in damaged:
                        text, reason = damaged.pop(number), "not UTF-8"
                    elif number in blank:
                        text, reason = "", "an empty line"
                    else:
                        empty[place] = False
                        continue
                    rejects.append({"raw_file": piece.name, "raw_row": number, "raw_load_id": load_id, "text": text, "reason": reason})
                batch, numbers = batch.filter(pa.array(~empty)), numbers[~empty]
            yield _with_provenance(batch.columns, numbers, piece.name, load_id, table)


class _Ascending:
    """Membership in increasing numbers, asked for in increasing order; the source is read no further than was asked."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers, self._last = numbers, -1

    def __contains__(self, number: int) -> bool:
        while self._last < number:
            self._last = next(self._numbers, 1 << 62)
        return self._last == number


def _blank_lines(piece: Piece, table: RawTable) -> Iterator[int]:
    """The numbers of the empty lines after the header, counted as the parser counts: a line may go on inside quotes."""
    field = re.compile(
        rb'"(?:[^"]|"")*("?)' + b"[^%b]*" % re.escape(table.delimiter.encode())
    )  # from an opening quote to the next delimiter
    number, inside = 0, False
    with opened(piece) as file, readable(piece):
        file.readline()
        for physical in file:
            for line in physical.splitlines():
                if not inside:
                    number += 1
                    if not line:
                        yield number
                if table.quoted and b'"' in line:
                    inside = _ends_inside(line, inside, field, table.delimiter.encode())


def _ends_inside(line: bytes, inside: bool, field: re.Pattern[bytes], delimiter: bytes) -> bool:
    """Whether a quoted field is still open at the end of a line. A quote opens only at the start of a field."""
    line, place = (b'"' + line if inside else line), 0
    while place <= len(line):
        quoted = field.match(line, place)
        if quoted is not None:
            if not quoted[1]:
                return True
            place = quoted.end() + 1
            continue
        after = line.find(delimiter, place)
        if after < 0:
            return False
        place = after + 1
    return False


def _empty(batch: pa.RecordBatch) -> np.ndarray | None:
    """Which rows are empty in every column, bool [rows]; None where no row is."""
    empty = pc.equal(batch.column(0), "")
    for column in batch.columns[1:]:
        if not pc.any(empty).as_py():
            return None
        empty = pc.and_(empty, pc.equal(column, ""))
    return empty.to_numpy(zero_copy_only=False) if pc.any(empty).as_py() else None


def _numbers(first: int, count: int, rejected: list[int]) -> np.ndarray:
    """The numbers, int64 [count], of `count` rows from `first` on, which leave out those that were rejected."""
    if not rejected:
        return np.arange(first, first + count)
    span = np.arange(first, first + count + len(rejected))
    return span[~np.isin(span, rejected)][:count]


def _parquet_rows(piece: Piece, table: RawTable, load_id: str) -> Iterator[pa.RecordBatch]:
    """Every column as text, a missing value as the empty text that a CSV file would have."""
    with readable(piece), pq.ParquetFile(piece.path, pre_buffer=False) as file:
        next_row = 1
        for batch in file.iter_batches(65_536):
            try:
                columns = [pc.fill_null(pc.cast(column, pa.string()), "") for column in batch.columns]
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise SkewlessError(
                    f"{piece.shown} has a column that is not text: {str(error).splitlines()[0]}", "write its values as plain columns"
                ) from error
            columns += [pa.repeat(pa.scalar(""), batch.num_rows)] * table.unnamed
            yield _with_provenance(columns, np.arange(next_row, next_row + batch.num_rows), piece.name, load_id, table)
            next_row += batch.num_rows


def _with_provenance(columns: list[pa.Array], numbers: np.ndarray, name: str, load_id: str, table: RawTable) -> pa.RecordBatch:
    file, load = (pa.repeat(pa.scalar(value), len(numbers)) for value in (name, load_id))
    return pa.RecordBatch.from_arrays([*columns, file, pa.array(numbers, pa.int64()), load], schema=table.schema)
