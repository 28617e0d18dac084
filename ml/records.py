"""Frozen dataclasses ↔ JSON values. The type hints of a record say what may be written and what must be read.

A field whose default is None is left out while it is None. `from_`, whose plain name Python keeps for itself, is `from` in JSON.
"""

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ml.errors import SkewlessError

T = TypeVar("T")
HINT = "another version of this code wrote it; run the step that writes it again"


def to_json(record: Any) -> dict[str, Any]:
    """The JSON object of a dataclass: nested records are objects, tuples are lists."""
    found = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if not (value is None and field.default is None):
            found[_key(field)] = _plain(value)
    return found


def from_json(kind: type[T], value: Any) -> T:
    """The record that `to_json` wrote.

    Raises:
        SkewlessError: naming the record and the field, where a key is unknown or missing or a value has another type.
    """
    found = _record(kind, value, kind.__name__)
    assert isinstance(found, kind)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _record(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(place, "an object", value)
    known = {_key(field): field for field in fields(kind)}
    unknown = [name for name in value if name not in known]
    if unknown:
        raise SkewlessError(f"{place} has no field {unknown[0]!r}", HINT)
    hints, given = _hints(kind), {}
    for key, field in known.items():
        if key in value:
            given[field.name] = _read(hints[field.name], value[key], f"{place}.{key}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise SkewlessError(f"{place} lacks the field {key!r}", HINT)
    return kind(**given)


def _read(hint: Any, value: Any, place: str) -> Any:
    """A value as a type hint asks for it; unions are of one type and None, or of types that JSON distinguishes."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, place)
    if origin is tuple:
        return _tuple(arguments, value, place)
    if origin is list and isinstance(value, list):
        return [_read(arguments[0], entry, f"{place}[{index}]") for index, entry in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: _read(arguments[1], entry, f"{place}.{name}") for name, entry in value.items()}
    if is_dataclass(hint):
        return _record(hint, value, place)
    if hint is float and type(value) in (int, float):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise _wrong(place, hint.__name__ if isinstance(hint, type) else str(hint), value)


def _one_of(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and types.NoneType in choices:
        return None
    others = [choice for choice in choices if choice is not types.NoneType]
    exact = [choice for choice in others if choice is type(value)]  # a union of int and float keeps whole numbers whole
    for choice in (exact or others)[:-1]:
        try:
            return _read(choice, value, place)
        except SkewlessError:
            continue
    return _read((exact or others)[-1], value, place)


def _tuple(arguments: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(place, "a list", value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_read(arguments[0], entry, f"{place}[{index}]") for index, entry in enumerate(value))
    if len(arguments) != len(value):
        raise _wrong(place, f"a list of {len(arguments)}", value)
    return tuple(_read(hint, entry, f"{place}[{index}]") for index, (hint, entry) in enumerate(zip(arguments, value, strict=True)))


def _key(field: Field[Any]) -> str:
    return field.name.removesuffix("_")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _wrong(place: str, wanted: str, value: Any) -> SkewlessError:
    shown = repr(value)
    return SkewlessError(f"{place} must be {wanted}, got {shown if len(shown) <= 60 else shown[:59] + '…'}", HINT)
