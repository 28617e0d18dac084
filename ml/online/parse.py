"""JSON rows → typed columns, or refusals that name row, field, rule and value."""

import difflib
import math
import re
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from ml.contract import Column, Contract

ARROW = {
    "text": pa.string(),
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
}


ECHO_LENGTH = 200


@dataclass(frozen=True)
class Refusal:
    """Why one row of a request is refused: the field, the rule that it breaks, its value, and a sentence."""

    row: int
    field: str
    rule: str
    value: Any
    message: str

    def to_dict(self) -> dict[str, Any]:
        """For a JSON body: whatever was sent, its echo can be encoded and is short."""
        return {
            "row": self.row,
            "field": _echo(self.field),
            "rule": self.rule,
            "value": _echo(self.value),
            "message": _echo(self.message),
        }


def parse(contract: Contract, rows: list[Any], absent: frozenset[str] = frozenset()) -> tuple[pa.Table, list[Refusal]]:
    """JSON rows as a table of the inputs' types (text, int64, double, bool, timestamp, date), and what is wrong with them.

    A missing optional input is null, and so is one of `absent`. With refusals the table holds null in their place.
    """
    refusals: list[Refusal] = []
    known = {column.name for column in contract.inputs}
    values: dict[str, list[Any]] = {column.name: [] for column in contract.inputs}
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            refusals.append(Refusal(number, "", "object", row, "a row is an object of named fields"))
            row = {}
        for name in sorted(row.keys() - known):
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            refusals.append(Refusal(number, name, "known", row[name], f"there is no input {name}{meant}"))
        for column in contract.inputs:
            value = row.get(column.name)
            if value is None:
                if column.required and column.name not in absent and isinstance(rows[number], dict):
                    refusals.append(Refusal(number, column.name, "required", None, f"{column.name} is required"))
            else:
                try:
                    value = COERCE[column.type](value)
                except (TypeError, ValueError, OverflowError):
                    message = f"{column.name} must be {EXPECTED[column.type]}"
                    refusals.append(Refusal(number, column.name, column.type, value, message))
                    value = None
            values[column.name].append(value)
    arrays = [pa.array(values[column.name], ARROW[column.type]) for column in contract.inputs]
    return pa.Table.from_arrays(arrays, names=[column.name for column in contract.inputs]), refusals


def _echo(value: Any) -> Any:
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        return text if len(text) <= ECHO_LENGTH else text[:ECHO_LENGTH] + "..."
    if isinstance(value, dict) and not any(isinstance(entry, (dict, list)) for entry in value.values()) and len(value) <= 8:
        return {_echo(name): _echo(entry) for name, entry in value.items()}
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if value is None or isinstance(value, bool) or (isinstance(value, (int, float)) and abs(value) < 1e300):
        return value
    return _echo(reprlib.repr(value))


def request_row(row: dict[str, Any]) -> dict[str, Any]:
    """A warehouse row as a client sends it: timestamps and dates in ISO form, and nothing for what is missing."""
    return {name: value.isoformat() if isinstance(value, (date, datetime)) else value for name, value in row.items() if value is not None}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate is not text
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or int(value) != value or not -(2**63) <= value < 2**63:
        raise TypeError
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _timestamp(value: Any) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?", _text(value)):
        raise ValueError
    return datetime.fromisoformat(value)


def _date(value: Any) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", _text(value)):
        raise ValueError
    return date.fromisoformat(value)


COERCE: dict[str, Callable[[Any], Any]] = {
    "text": _text, "integer": _integer, "double": _number, "boolean": _boolean, "timestamp": _timestamp, "date": _date,
}  # fmt: skip
EXPECTED = {
    "text": "a text",
    "integer": "a whole number",
    "double": "a finite number",
    "boolean": "true or false",
    "timestamp": "a local time such as 2013-11-05T07:15:00, without a zone",
    "date": "a date such as 2013-11-05",
}


def describe(column: Column) -> dict[str, Any]:
    """An input as it is described to clients."""
    return {
        "name": column.name,
        "type": column.type,
        "required": column.required,
        "unit": column.unit or None,
        "example": column.example,
        "description": column.description,
    }
