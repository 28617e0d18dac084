"""Compiled feature SQL → a function over request rows: parse what a client sent, judge it, compute its features."""

import difflib
import math
import re
import reprlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.contract import Column, Contract
from ml.errors import SkewlessError

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


def parse(contract: Contract, rows: list[Any]) -> tuple[pa.Table, list[Refusal]]:
    """JSON rows as a table of the inputs' types (text, int64, double, bool, timestamp, date), and what is wrong with them.

    A missing optional input is null. With refusals the table holds null in their place.
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
                if column.required and isinstance(rows[number], dict):
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


def out_of_range(contract: Contract, features: pa.Table, prediction: np.ndarray) -> list[Refusal]:
    """The rows that have no finite answer, with the feature that ran away; JSON could not carry it, and nobody could use it."""
    refusals = []
    for row in np.flatnonzero(~np.isfinite(prediction)):
        values = {name: features[name][int(row)].as_py() for name in contract.numerical}
        name, value = next(((name, value) for name, value in values.items() if value is not None and not np.isfinite(value)), ("", None))
        refusals.append(Refusal(int(row), name, "finite", value, "this feature of the row is out of every range"))
    return refusals


class OnlineFeatures:
    """The frozen feature SQL and the rules, over lookups held in memory. One instance serves many threads."""

    def __init__(self, contract: Contract, lookups: Path) -> None:
        self.contract = contract
        self._root = duckdb.connect(":memory:")
        self._root.execute("set threads = 1")  # one row gains nothing from threads, and they cost its latency
        for name in contract.lookups:
            self._root.register("lookup", pq.read_table(lookups / f"{name}.parquet"))
            self._root.execute(f'create table "{name}" as select * from lookup')
            self._root.unregister("lookup")
        key = contract.only("key")
        self._key_type = ARROW[next(column.type for column in contract.columns if column.role == "key")]
        names = ", ".join(f'"{column.name}"' for column in contract.features)
        self._sql = f'select {names} from ({contract.online_sql}) order by cast("{key}" as bigint)'
        self._rules = [rule for rule in contract.rules if rule.sql]
        judged = ", ".join(f'not coalesce({rule.sql}, false) as "{rule.name}"' for rule in self._rules)
        self._rules_sql = f'select {judged} from "{contract.request_relation}" order by cast("{key}" as bigint)' if judged else ""
        self._threads = threading.local()

    def features(self, inputs: pa.Table) -> pa.Table:
        """The features of parsed rows: one column for each feature of the contract, in its order, one row a row.

        Raises:
            SkewlessError: when a lookup repeats a key, so that the rows are not one to one.
        """
        result = self._run(self._sql, inputs)
        if result.num_rows != inputs.num_rows:
            raise SkewlessError(
                f"the features of {inputs.num_rows} rows came out as {result.num_rows}", "make the lookups unique by their key"
            )
        return result

    def judge(self, inputs: pa.Table) -> tuple[list[Refusal], list[list[str]]]:
        """Which rows break a quarantine rule, and for each row the names of the flag rules that it breaks."""
        flags: list[list[str]] = [[] for _ in range(inputs.num_rows)]
        if not self._rules_sql:
            return [], flags
        broken = self._run(self._rules_sql, inputs)
        refusals = []
        for rule in self._rules:
            for row in (index for index, bad in enumerate(broken[rule.name].to_pylist()) if bad):
                if rule.action == "flag":
                    flags[row].append(rule.name)
                    continue
                seen = {name: inputs[name][row].as_py() for name in rule.inputs}
                value = next(iter(seen.values())) if len(seen) == 1 else seen
                refusals.append(Refusal(row, ", ".join(seen), rule.name, value, rule.description))
        return refusals, flags

    def _run(self, sql: str, inputs: pa.Table) -> pa.Table:
        if not hasattr(self._threads, "cursor"):
            self._threads.cursor = self._root.cursor()
        numbers = pa.array(range(inputs.num_rows), pa.int64()).cast(self._key_type)
        self._threads.cursor.register(self.contract.request_relation, inputs.append_column(self.contract.only("key"), numbers))
        return self._threads.cursor.execute(sql).to_arrow_table()


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


def to_json_value(value: Any) -> Any:
    """A warehouse value as a client would send it: timestamps and dates in ISO form."""
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate is no text
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
    """An input as clients are told of it."""
    return {
        "name": column.name,
        "type": column.type,
        "required": column.required,
        "unit": column.unit or None,
        "example": column.example,
        "description": column.description,
    }
