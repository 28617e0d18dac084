"""The shape of a raw table before any rule exists: types, nulls, ranges, and what looks wrong.

Each column is scanned once, alone, into its distinct texts and their counts; everything else is computed from those.
DuckDB counts within MEMORY and spills to disk beyond it.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import provenance, records, storage
from ml.errors import SkewlessError, UsageError
from ml.ingest import RawTable
from ml.places import Places
from ml.profile import suspicions
from ml.profile.moments import Format, formats
from ml.profile.record import ColumnProfile, Common, Length, Misfits, Profile, Range, Spelling, TableSize, Written
from ml.storage import Storage

MEMORY, THREADS = "1GB", 4
NULLS = ("", "na", "n/a", "n.a.", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", "\\n")
BOOLEANS = ("true", "false", "t", "f", "yes", "no", "y", "n")
QUANTILES = (1, 25, 50, 75, 99)
NAMED = ("min", *(f"p{level}" for level in QUANTILES), "max")
BATCH_ROWS = 65_536
ENOUGH = 0.99
LONGEST = 200
BLANK = r"[\s\x{00A0}]"
Progress = Callable[[str, float, float], None]


def sizes(where: Storage, tables: list[RawTable]) -> list[TableSize]:
    """Rows and files of each raw table, from the files' own footers."""
    files = {table.name: _files(where, table) for table in tables}
    return [TableSize(table.name, _rows(files[table.name]), len(files[table.name]), len(table.columns)) for table in tables]


def profile(where: Storage, table: RawTable, progress: Progress) -> tuple[Profile, str, bool]:
    """The profile of a raw table, the key where it is stored, and whether it was stored already: same loads, same code.

    Raises:
        UsageError: where nothing has been ingested into the table.
    """
    files = _files(where, table)
    if not _rows(files):
        hint = f"read files into it: skewless ingest {table.project} FILE"
        raise UsageError(f"the raw table {table.name} of {table.project} is empty", hint)
    loads = [path.stem for path in files]
    identity = provenance.key("ml.profile", loads=loads, columns=table.columns)
    key = f"{Places(where, table.project).profiles()}/{table.name}.json"
    known = storage.read_json(where, key)
    if known and known["id"] == identity:
        return records.from_json(Profile, known), key, True
    with tempfile.TemporaryDirectory(prefix="skewless-profile-") as spill:
        opened = duckdb.connect(
            config={"memory_limit": MEMORY, "temp_directory": spill, "preserve_insertion_order": False, "threads": THREADS}
        )
        columns = []
        with opened:
            for done, name in enumerate(table.columns):
                progress(f"profile of {table.name}", done, len(table.columns))
                try:
                    columns.append(_column(opened, [str(path) for path in files], name))
                except duckdb.Error as error:
                    said = str(error).splitlines()[0]
                    raise SkewlessError(
                        f"column {name} of {table.name} cannot be counted: {said}",
                        f"skewless doctor --deep reports damaged files; beyond {MEMORY} it writes to TMPDIR, which needs free space",
                    ) from error
    record = Profile(identity, table.project, table.name, tuple(loads), columns[0].rows, tuple(columns))
    storage.write_json(where, key, records.to_json(record))
    return record, key, False


def _files(where: Storage, table: RawTable) -> list[Path]:
    names = [name for name in storage.names(where, table.key) if name.endswith(".parquet") and name != "_empty.parquet"]
    return [storage.fetch(where, f"{table.key}/{name}") for name in names]


def _rows(files: list[Path]) -> int:
    try:
        return sum(pq.read_metadata(path).num_rows for path in files)
    except pa.ArrowInvalid as error:
        raise SkewlessError(f"a raw file cannot be read: {error}", "see which: skewless doctor") from error


def _column(opened: duckdb.DuckDBPyConnection, files: list[str], name: str) -> ColumnProfile:
    """All that is known of one column."""
    _count(opened, files, name)
    written = _moments(opened)
    (rows, empty, others, integers, numbers, booleans, days, timed, distinct, shortest, longest, padded, zeroed) = _one(
        opened,
        """select sum(n), coalesce(sum(n) filter (value = ''), 0), coalesce(sum(n) filter (not missing), 0),
            coalesce(sum(n) filter (is_integer), 0), coalesce(sum(n) filter (number is not null), 0),
            coalesce(sum(n) filter (is_boolean), 0), coalesce(sum(n) filter (moment is not null and not timed), 0),
            coalesce(sum(n) filter (moment is not null and timed), 0), count(*) filter (not missing),
            min(length(value)) filter (not missing), max(length(value)) filter (not missing),
            coalesce(sum(n) filter (value <> bare and bare <> ''), 0),
            coalesce(sum(n) filter (is_integer and regexp_matches(bare, '^0[0-9]')), 0)
        from typed""",
    )
    tests = {
        "date": (int(days), "moment is not null and not timed"),
        "timestamp": (int(timed + days) if timed else 0, "moment is not null"),
        "integer": (int(integers), "is_integer"),
        "boolean": (int(booleans), "is_boolean"),
        "double": (int(numbers), "number is not null"),
    }
    kind = _kind({type_: count for type_, (count, _) in tests.items()}, int(others))
    examples: list[str | None] = []
    if kind in tests:
        wrong = f"select value from typed where not missing and not ({tests[kind][1]}) order by n desc, value limit 3"
        examples = [_short(value) for (value,) in opened.execute(wrong).fetchall()]
    unfit = int(others) - tests[kind][0] if kind in tests else 0
    numeric = _numeric(opened, kind == "integer", int(numbers)) if numbers and numbers >= 0.8 * others else None
    moments = kind in ("date", "timestamp")
    record = ColumnProfile(
        name=name,
        rows=int(rows),
        empty=int(empty),
        nulls=int(rows - others),
        null_spellings=_spellings(opened),
        distinct=int(distinct),
        type=kind if others else "nothing",
        formats=tuple(entry for entry in written if entry.rows) if moments or kind == "text" else (),
        misfits=Misfits(unfit, unfit / others if others else 0.0, tuple(examples)),
        numbers=numeric,
        moments=_range(opened) if moments else None,
        length=Length(shortest, longest),
        top=_top(opened, int(rows)),
    )
    facts = suspicions.Facts(
        others=int(others),
        parses={type_: count for type_, (count, _) in tests.items()},
        example=_example(opened, "true"),
        padded=int(padded),
        padded_example=_example(opened, "value <> bare and bare <> ''"),
        zeroed=int(zeroed),
        zeroed_example=_example(opened, "is_integer and regexp_matches(bare, '^0[0-9]')"),
        capitals=_capitals(opened) if kind in ("text", "boolean") else (0, []),
        sentinels=_sentinels(opened) if numeric else [],
        broken_example=_example(opened, "not is_integer") if kind == "double" else None,
        days=_days(opened) if record.moments else [],
    )
    return replace(record, suspicions=suspicions.of(record, facts))


def _count(opened: duckdb.DuckDBPyConnection, files: list[str], name: str) -> None:
    """The one scan of the column: table `counted`, a row a distinct text, with what it could be read as."""
    column = '"' + name.replace('"', '""') + '"'
    nulls, booleans = _listed(NULLS), _listed(BOOLEANS)
    opened.execute(
        f"""create or replace temp table counted as
        with texts as (select {column} as value, count(*) as n from read_parquet($1, union_by_name = true) group by all),
        bared as (
            select *, coalesce(regexp_replace(value, '^{BLANK}+|{BLANK}+$', '', 'g'), '') as bare from texts
        )
        select *, lower(bare) in ({nulls}) as missing,
            regexp_full_match(bare, '[+-]?[0-9]{{1,18}}') as is_integer,
            lower(bare) in ({booleans}) as is_boolean,
            case when regexp_full_match(bare, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')
                and isfinite(try_cast(bare as double)) then try_cast(bare as double) end as number,
            case when regexp_matches(bare, '^([0-9]{{1,4}}[-/.][0-9]{{1,2}}[-/.][0-9]|(19|20)[0-9]{{6}}$)') and length(bare) <= 40
                then translate(bare, '0123456789', '9999999999') end as shape
        from bared""",
        [files],
    )


def _moments(opened: duckdb.DuckDBPyConnection) -> list[Written]:
    """Read the dates and times of `counted`: the view `typed` adds moment and timed; rows and range of each format."""
    first, second = (
        "try_cast(regexp_extract(bare, '^[0-9]+') as integer)",
        "try_cast(regexp_extract(bare, '^[0-9]+[^0-9]([0-9]+)', 1) as integer)",
    )
    shapes = opened.execute(
        f"""select shape, coalesce(sum(n) filter ({first} > 12), 0)::bigint, coalesce(sum(n) filter ({second} > 12), 0)::bigint
        from counted where shape is not null and not missing group by shape order by sum(n) desc limit 50"""
    ).fetchall()
    found: list[Format] = formats(shapes)
    branches = {"moment": "", "timed": "", "format": ""}
    for index, entry in enumerate(found):
        when = f"when shape in ({_listed(entry.shapes)})" + (f" and {first} {entry.only_if}" if entry.only_if else "")
        branches["moment"] += f" {when} then try_strptime({entry.cleaned('bare')}, '{entry.parse}')"
        branches["timed"] += f" {when} then {'true' if entry.timed else 'false'}"
        branches["format"] += f" {when} then {index}"
    columns = ", ".join(f"{f'case {text} end' if text else 'null'} as {name}" for name, text in branches.items())
    opened.execute(f"create or replace temp view typed as select *, {columns} from counted")
    if not found:
        return []
    counted = dict(opened.execute("select format, sum(n)::bigint from typed where moment is not null group by format").fetchall())
    return [Written(entry.name, counted.get(index, 0), entry.order) for index, entry in enumerate(found)]


def _kind(counts: dict[str, int], others: int) -> str:
    """The first type as which all of the values parse, or else nearly all; text where there is none."""
    for share in (1.0, ENOUGH):
        for kind, count in counts.items():
            if others and count >= share * others:
                return kind
    return "text"


def _spellings(opened: duckdb.DuckDBPyConnection) -> tuple[Spelling, ...]:
    found = opened.execute("select value, n from counted where missing order by n desc, value limit 20").fetchall()
    return tuple(Spelling(value, int(count)) for value, count in found)


def _numeric(opened: duckdb.DuckDBPyConnection, whole: bool, total: int) -> dict[str, int | float]:
    """Smallest, largest and quantiles: the smallest number with at least that share of the rows at or below it.

    Leaves table `numbers`, a row a distinct number. Summed up in batches, because a window would hold the whole of it.
    """
    opened.execute(
        """create or replace temp table numbers as
        select number, sum(n)::bigint as n from counted where number is not null and not missing group by number"""
    )
    steps = [1, *(max(math.ceil(level * total / 100), 1) for level in QUANTILES), total]
    found: dict[str, float] = {}
    upto = 0
    for batch in opened.execute("select number, n from numbers order by number").to_arrow_reader(BATCH_ROWS):
        sums = upto + np.cumsum(batch.column(1).to_numpy())
        for name, rows in zip(NAMED, steps, strict=True):
            if upto < rows <= sums[-1]:
                found[name] = batch.column(0)[int(np.searchsorted(sums, rows))].as_py()
        upto = int(sums[-1])
    return {name: int(value) if whole and value.is_integer() else value for name, value in found.items()}


def _range(opened: duckdb.DuckDBPyConnection) -> Range:
    low, high = _one(opened, "select min(moment), max(moment) from typed where not missing")
    return Range(str(low), str(high))


def _top(opened: duckdb.DuckDBPyConnection, rows: int) -> tuple[Common, ...]:
    found = opened.execute("select value, n from counted order by n desc, value limit 5").fetchall()
    return tuple(Common(value and _short(value), int(count), count / rows) for value, count in found)


def _capitals(opened: duckdb.DuckDBPyConnection) -> tuple[int, list[str]]:
    """How many words are written in several capitalisations, and the spellings of the most frequent of them.

    By hashes, whose groups DuckDB can spill; lists and texts among the aggregates would have to stay in memory.
    """
    opened.execute(
        """create or replace temp table several as select hash(lower(bare)) as word, sum(n) as n from counted
        where not missing group by word having min(hash(bare)) <> max(hash(bare))"""
    )
    spelled = opened.execute(
        """select bare from counted where not missing and hash(lower(bare)) = (select word from several order by n desc, word limit 1)
        group by bare order by sum(n) desc, bare limit 3"""
    ).fetchall()
    return _one(opened, "select count(*) from several")[0], [_short(word) for (word,) in spelled]


def _days(opened: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    day = "strftime(moment, '%Y-%m-%d')"
    return opened.execute(
        f"select {day}, sum(n)::bigint from typed where not missing and {day} in ({_listed(suspicions.DAYS)}) group by 1 order by 1"
    ).fetchall()


def _sentinels(opened: duckdb.DuckDBPyConnection) -> list[tuple[float, int, int, int]]:
    """Numbers that often stand for a missing one: number, rows, the most rows of two neighbours on each side, distinct numbers."""
    placeholders = ", ".join(str(number) for number in suspicions.PLACEHOLDERS)
    present = opened.execute(f"select number, n from numbers where number in ({placeholders}) order by n desc, number").fetchall()
    (distinct,) = _one(opened, "select count(*) from numbers")
    nearest = """select coalesce(max(n), 0) from ((from numbers where number < $1 order by number desc limit 2)
        union all (from numbers where number > $1 order by number limit 2))"""
    near = [opened.execute(nearest, [number]).fetchone() for number, _ in present]
    return [(number, rows, most[0], distinct) for (number, rows), most in zip(present, near, strict=True) if most]


def _example(opened: duckdb.DuckDBPyConnection, condition: str) -> str | None:
    found = opened.execute(f"select value from counted where not missing and {condition} order by n desc, value limit 1").fetchone()
    return _short(found[0]) if found else None


def _one(opened: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    found = opened.execute(sql).fetchone()
    assert found is not None
    return found


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else value[:LONGEST] + "…"


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
