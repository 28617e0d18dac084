"""One function that reads any block of YAML meta into its dataclass, and says what is wrong with one that does not fit."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ml.errors import SkewlessError

Block = TypeVar("Block")
WORDS: dict[type, str] = {str: "a text", bool: "true or false", int: "an integer", float: "a number"}


@dataclass(frozen=True)
class Place:
    """Where a block is written: its YAML file, and the entry in it (model, or model.column)."""

    file: str
    entry: str

    def __str__(self) -> str:
        return f"{self.file}: {self.entry}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a block, and what to do about it."""

    place: Place
    says: str
    do: str

    def __str__(self) -> str:
        return f"{self.place}: {self.says}"


def read(block: type[Block], raw: Any, place: Place, problems: list[Problem], key: str = "meta") -> Block | None:
    """A block of meta as its dataclass; None, with what is wrong added to `problems`, where it does not fit."""
    if not isinstance(raw, Mapping):
        problems.append(Problem(place, f"{key} must be a block of keys, got {raw!r}", f"write one of its keys: {_names(block)}"))
        return None
    kind: Any = block
    known, hints, before = _keys(kind), _hints(kind), len(problems)
    given: dict[str, Any] = {}
    skipped = False
    for name, value in raw.items():
        if name not in known:
            near = _nearest(name, known)
            problems.append(Problem(place, f"{key} has the unknown key {name!r}", f"{near}the keys of {key} are {_names(block) or 'none'}"))
        elif not _is_rendered(value) and str not in _members(hints[name]):
            skipped = True  # Jinja that only dbt can read; the manifest is checked as well
        elif value is None:
            problems.append(Problem(place, f"{key}.{name} has no value", f"write {expected(block, name)}, or remove the key"))
        else:
            given[name] = _value(hints[name], value, known[name].metadata, place, problems, f"{key}.{name}")
    for name, one in known.items():
        if name not in raw and one.default is dataclasses.MISSING:
            problems.append(Problem(place, f"{key} lacks the key {name!r}", f"write {name}: {expected(block, name)}"))
    if skipped or len(problems) > before:
        return None
    try:
        return block(**given)
    except ValueError as error:
        problems.append(Problem(place, f"{key} has {dict(raw)!r}: {error}", "correct the value"))
        return None


def read_or_raise(block: type[Block], raw: Any, place: Place, key: str = "meta") -> Block:
    """A block of meta as its dataclass.

    Raises:
        SkewlessError: naming file, entry, key and the nearest match, for a block that does not fit.
    """
    problems: list[Problem] = []
    found = read(block, raw, place, problems, key)
    require_none(problems)
    if found is None:
        raise SkewlessError(f"{place}: {key} has Jinja that was not rendered", "write plain values")
    return found


def require_none(problems: Iterable[Problem]) -> None:
    """Raises:
    SkewlessError: with all problems, one a line.
    """
    found = list(problems)
    if len(found) == 1:
        raise SkewlessError(str(found[0]), found[0].do)
    if found:
        lines = "".join(f"\n  {problem}; {problem.do}" for problem in found)
        raise SkewlessError(f"{len(found)} declarations in YAML are wrong:{lines}", "correct them; docs/reference/meta.md lists every key")


def expected(block: type, name: str) -> str:
    """What a key of a block takes, in words."""
    return _expected(_hints(block)[name], _keys(block)[name].metadata)


@cache
def _hints(block: Any) -> dict[str, Any]:
    return get_type_hints(block)


@cache
def _keys(block: Any) -> dict[str, "dataclasses.Field[Any]"]:
    return {one.name: one for one in dataclasses.fields(block)}


def _names(block: type) -> str:
    return ", ".join(_keys(block))


def _nearest(written: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(written), list(known), 1, 0.5)
    return f"did you mean {near[0]}? " if near else ""


def _is_rendered(value: Any) -> bool:
    return not (isinstance(value, str) and "{{" in value)


def _members(hint: Any) -> list[Any]:
    """The types of a union without None, or the type alone."""
    members = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    return [member for member in members if member is not NoneType]


def _value(hint: Any, raw: Any, bounds: Mapping[str, Any], place: Place, problems: list[Problem], key: str) -> Any:
    """A value in its declared type: the first member of a union that it fits."""
    members = _members(hint)
    for member in members:
        attempt: list[Problem] = []
        found = _as(member, raw, bounds, place, attempt, key)
        if not attempt:
            return found
    inner = [member for member in members if dataclasses.is_dataclass(member) and isinstance(raw, Mapping)]
    if inner or (len(members) == 1 and get_origin(members[0]) is tuple and isinstance(raw, list)):
        problems.extend(attempt)  # they name the key inside the block or list
        return None
    near = _nearest(raw, [word for member in members if get_origin(member) is Literal for word in get_args(member)])
    number = _as_number(raw) if {int, float} & set(members) else ""
    problems.append(Problem(place, f"{key} must be {_expected(hint, bounds)}, got {raw!r}", f"{near or number}see docs/reference/meta.md"))
    return None


def _as(hint: Any, raw: Any, bounds: Mapping[str, Any], place: Place, problems: list[Problem], key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return read(hint, raw, place, problems, key)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(raw, list):
        parts = get_args(hint)
        if parts[-1] is Ellipsis or len(parts) == len(raw):
            return tuple(_value(parts[0], value, bounds, place, problems, f"{key}[{number}]") for number, value in enumerate(raw))
    elif get_origin(hint) is Literal:
        if raw in get_args(hint) and type(raw) is type(get_args(hint)[0]):
            return raw
    elif hint is float and type(raw) in (int, float):
        if math.isfinite(raw) and _is_within(raw, bounds):
            return float(raw)
    elif type(raw) is hint and (hint is not int or _is_within(raw, bounds)):
        return raw
    problems.append(Problem(place, f"{key} must be {_expected(hint, bounds)}, got {raw!r}", "see docs/reference/meta.md"))
    return None


def _is_within(number: float, bounds: Mapping[str, Any]) -> bool:
    low, high, above = (bounds.get(name) for name in ("low", "high", "above"))
    return not ((low is not None and number < low) or (high is not None and number > high) or (above is not None and number <= above))


def _as_number(raw: Any) -> str:
    """A hint for what YAML reads as a text and was meant as a number: `1%`, `1e-3`."""
    text = raw.strip() if isinstance(raw, str) else ""
    try:
        meant = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return ""
    return f"write {meant:.12g}; " if math.isfinite(meant) else ""


def _expected(hint: Any, bounds: Mapping[str, Any]) -> str:
    return " or ".join(_expected_one(member, bounds) for member in _members(hint))


def _expected_one(hint: Any, bounds: Mapping[str, Any]) -> str:
    if dataclasses.is_dataclass(hint):
        return f"a block of {_names(hint)}"  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        words = [str(word) for word in get_args(hint)]
        return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if parts[-1] is Ellipsis:
            return f"a list, each {_expected(parts[0], bounds)}"
        return f"[low, high], each {_expected(parts[0], bounds)}"
    if hint in (int, float):
        return WORDS[hint] + _limits(bounds)
    return WORDS[hint]


def _limits(bounds: Mapping[str, Any]) -> str:
    low, high, above = (bounds.get(name) for name in ("low", "high", "above"))
    if above is not None:
        return f" above {above}" + (f" and at most {high}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if low is not None else f" of at most {high}" if high is not None else ""
