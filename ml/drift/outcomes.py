"""Outcomes: files of prediction ids and truths, stored as Parquet, each once."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from ml import records, storage
from ml.contract import Contract
from ml.drift.record import OutcomesFile
from ml.drift.source import log_files
from ml.errors import UsageError
from ml.hashing import hash_file
from ml.places import Places
from ml.storage import Storage

EXAMPLES = 3
TRUE, FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Kept:
    """A kept file: its id (the hash of its bytes), and whether it was stored already."""

    id: str
    unchanged: bool


def keep(where: Storage, contract: Contract, source: Path, progress: Progress) -> Kept:
    """Keep a CSV or Parquet file with the columns prediction_id and the target; other columns are left out.

    Of several rows with one prediction_id the last one counts, as does, of several files, the one given last: truths
    are corrected, never taken back. Rows without an id or a readable truth are counted, named and left out.

    Raises:
        UsageError: for a file that is not there, cannot be read, or lacks one of the two columns.
    """
    if not source.is_file():
        raise UsageError(f"there is no file {source}", "name a CSV or Parquet file with prediction_id and " + contract.only("target"))
    identity = hash_file(source)[:12]
    key = f"{Places(where, contract.project).outcomes()}/{identity}.parquet"
    if storage.exists(where, key):
        return Kept(identity, unchanged=True)
    progress("reading outcomes", 0, 0)
    with storage.scratch_folder(where) as folder, duckdb.connect(str(folder / "outcomes.duckdb")) as opened:
        _read(opened, contract, source)
        about = _count(opened, source)
        last = f"""
            select prediction_id, arg_max(value, line) as "{contract.only("target")}",
                cast({_literal(about.added_at)} as timestamp) as added_at
            from given where prediction_id is not null and value is not null group by prediction_id order by prediction_id
        """
        metadata = f"{{outcomes: {_literal(json.dumps(records.to_json(about), ensure_ascii=False))}}}"
        options = f"format parquet, compression zstd, kv_metadata {metadata}"
        storage.write_file(
            where, key,
            lambda path: opened.execute(f"copy ({last}) to {_literal(str(path))} ({options})"),
        )  # fmt: skip
    return Kept(identity, unchanged=False)


def files(where: Storage, project: str) -> list[str]:
    """The kept files."""
    key = Places(where, project).outcomes()
    return [str(storage.fetch(where, f"{key}/{name}")) for name in storage.names(where, key)]


def describe(opened: duckdb.DuckDBPyConnection, log: Path, kept: list[str]) -> list[OutcomesFile]:
    """What each kept file held, and how many of its ids no log knows, or only that of another version; the last given first.

    `opened` has the relation `logged` of the judged version; its predictions may be older than this champion.
    """
    if not kept:
        return []
    others = [name for folder in sorted(log.parent.iterdir()) if folder != log and folder.is_dir() for name in log_files(folder)]
    opened.execute("create or replace temp table elsewhere (prediction_id varchar)")
    if others:
        opened.execute(
            "insert into elsewhere select prediction_id from read_json(?, format = 'newline_delimited', "
            "columns = {prediction_id: 'varchar'}, ignore_errors = true) where prediction_id is not null",
            [others],
        )
    found = []
    for path in kept:
        about = records.from_json(OutcomesFile, json.loads((pq.read_metadata(path).metadata or {})[b"outcomes"]))
        strange = "select prediction_id from read_parquet(?) anti join logged using (prediction_id)"
        sql = f"select count(*), (list(prediction_id order by prediction_id))[:{EXAMPLES}] from ({strange}) as strange"
        ((unknown, examples),) = opened.execute(f"{sql} anti join elsewhere using (prediction_id)", [path]).fetchall()
        ((of_others, _),) = opened.execute(f"{sql} semi join elsewhere using (prediction_id)", [path]).fetchall()
        strangers = tuple(examples or ())
        found.append(replace(about, id=Path(path).stem, unknown=unknown, unknown_ids=strangers, of_other_versions=of_others))
    return sorted(found, key=lambda about: about.added_at, reverse=True)


def sentence(about: OutcomesFile) -> str:
    """How many rows of a file were kept, as a sentence."""
    parts = [f"{about.rows:,} rows of {about.file}"]
    for count, examples, text in (
        (about.duplicates, about.duplicates_ids, "repeat an id (the last one counts)"),
        (about.unreadable, about.unreadable_ids, "have no readable truth"),
        (about.unknown, about.unknown_ids, "name no logged prediction"),
    ):
        if count:
            parts.append(f"{count:,} {text}: {', '.join(examples)}{', ...' if count > len(examples) else ''}")
    if about.of_other_versions:
        parts.append(f"{about.of_other_versions:,} belong to predictions of other versions")
    return "outcomes: " + "; ".join(parts)


def _read(opened: duckdb.DuckDBPyConnection, contract: Contract, source: Path) -> None:
    """The relation `given`: line, prediction_id, value (double; null where it cannot be read)."""
    target = contract.only("target")
    parquet = _head(source) == b"PAR1"
    reader = "read_parquet(?)" if parquet else "read_csv(?, all_varchar = true, header = true, delim = ',', quote = '\"')"
    try:
        names = [row[0] for row in opened.execute(f"describe select * from {reader}", [str(source)]).fetchall()]
        for name in ("prediction_id", target):
            if name not in names:
                raise UsageError(
                    f"{source} has no column {name}; it has {', '.join(names[:10])}",
                    f"give the outcomes the columns prediction_id (from the answer) and {target}",
                )
        text = f'trim(cast("{target}" as varchar))'
        if contract.task == "binary":
            value = f"case when lower({text}) in {TRUE} then 1e0 when lower({text}) in {FALSE} then 0e0 end"
        else:
            value = f"case when isfinite(try_cast({text} as double)) then try_cast({text} as double) end"
        opened.execute(
            "create table given as select row_number() over () as line, nullif(trim(cast(prediction_id as varchar)), '') as prediction_id, "
            f"{value} as value, {text} as written from {reader}",
            [str(source)],
        )
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"{source} cannot be read: {first}", "give a CSV file with a header line, or a Parquet file") from error


def _head(source: Path) -> bytes:
    with open(source, "rb") as file:
        return file.read(4)


def _count(opened: duckdb.DuckDBPyConnection, source: Path) -> OutcomesFile:
    good = "prediction_id is not null and value is not null"
    ((rows, readable, ids),) = opened.execute(
        f"select count(*), count(*) filter ({good}), count(distinct prediction_id) filter ({good}) from given"
    ).fetchall()
    repeated = opened.execute(
        f"select prediction_id from given where {good} group by 1 having count(*) > 1 order by 1 limit {EXAMPLES}"
    ).fetchall()
    unread = opened.execute(
        "select coalesce(prediction_id, '(no id)') || ' (' || coalesce(nullif(written, ''), 'empty') || ')' "
        f"from given where not ({good}) order by line limit {EXAMPLES}"
    ).fetchall()
    return OutcomesFile(
        file=source.name,
        added_at=datetime.now(UTC).replace(tzinfo=None).isoformat(),
        rows=rows,
        kept=ids,
        duplicates=readable - ids,
        duplicates_ids=tuple(name for (name,) in repeated),
        unreadable=rows - readable,
        unreadable_ids=tuple(name for (name,) in unread),
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
