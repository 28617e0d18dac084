"""What profile found in a raw table, as records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spelling:
    """A text that means null, and its rows."""

    text: str | None
    rows: int


@dataclass(frozen=True)
class Written:
    """A way of writing a moment. `order`: of day and month, where the year comes last."""

    format: str
    rows: int
    order: str | None


@dataclass(frozen=True)
class Misfits:
    """Rows that do not parse as the column's type, as a share of those that are not null."""

    rows: int
    share: float
    examples: tuple[str | None, ...]


@dataclass(frozen=True)
class Range:
    """The first and the last moment."""

    min: str
    max: str


@dataclass(frozen=True)
class Length:
    """Characters of the shortest and the longest text; None without any."""

    min: int | None
    max: int | None


@dataclass(frozen=True)
class Common:
    """One of the most frequent values."""

    value: str | None
    rows: int
    share: float


@dataclass(frozen=True)
class Suspicion:
    """Something that looks wrong, as a sentence that a person can judge."""

    kind: str
    says: str


@dataclass(frozen=True)
class ColumnProfile:
    """All that is known of one column. `distinct`: exact, of the texts that are not null. `numbers`: min, quantiles, max."""

    name: str
    rows: int
    empty: int
    nulls: int
    null_spellings: tuple[Spelling, ...]
    distinct: int
    type: str
    formats: tuple[Written, ...]
    misfits: Misfits
    numbers: dict[str, int | float] | None
    moments: Range | None
    length: Length
    top: tuple[Common, ...]
    suspicions: tuple[Suspicion, ...] = ()


@dataclass(frozen=True)
class Profile:
    """The profile of a raw table; `id` is the hash of its loads and of the code."""

    id: str
    project: str
    table: str
    loads: tuple[str, ...]
    rows: int
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True)
class TableSize:
    """Rows, files and columns of a raw table."""

    table: str
    rows: int
    files: int
    columns: int
