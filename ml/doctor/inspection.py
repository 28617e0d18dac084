"""Checks that stored artifacts agree with their records: raw loads, snapshots, runs, bundles, champion, ledger."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ml import records, storage
from ml.errors import SkewlessError
from ml.hashing import hash_file, hash_tree
from ml.ledger import Entry
from ml.places import Places
from ml.storage import Storage

SHOWN = 3


@dataclass(frozen=True)
class Check:
    """One thing looked at: ok, warn or fail, a sentence, and what to do unless it is ok."""

    name: str
    status: str
    says: str
    do: str = ""


def judged(name: str, problems: list[str], fine: str, do: str, status: str = "fail") -> Check:
    """A check that is ok where there are no problems."""
    if not problems:
        return Check(name, "ok", fine)
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return Check(name, status, "; ".join(problems[:SHOWN]) + more, do)


def plan(where: Storage, checkout: Path, project: str, deep: bool) -> list[tuple[str, Callable[[], Iterator[Check]]]]:
    """The checks of a project, to be made one by one."""
    return [
        (f"{project}: raw", lambda: _raw(where, checkout, project, deep)),
        (f"{project}: snapshots", lambda: _snapshots(where, project, deep)),
        (f"{project}: runs", lambda: _runs(where, project, deep)),
        (f"{project}: bundles", lambda: _bundles(where, project, deep)),
        (f"{project}: champion", lambda: _champion(where, project)),
    ]


def ledger_rows(where: Storage) -> tuple[list[Entry], list[str]]:
    """The readable rows of the ledger, and what is wrong with the others."""
    rows, bad = [], []
    for name in storage.names(where, where.own("ledger")):
        try:
            rows.append(records.from_json(Entry, storage.read_json(where, where.own("ledger", name))))
        except (SkewlessError, OSError, UnicodeDecodeError):
            bad.append(f"{name} is not a row")
    return rows, bad


def _raw(where: Storage, checkout: Path, project: str, deep: bool) -> Iterator[Check]:
    """Every load has its file and its record, and they agree in rows; deep: every row can be read."""
    from ml.ingest import raw_tables, stored_loads

    problems, old, loads, rows = [], [], 0, 0
    for table in raw_tables(checkout, project):
        records_key = f"raw/{project}/_loads/{table.name}"
        try:
            files = stored_loads(where, table)
        except (OSError, ValueError) as refused:
            problems.append(f"a file of {table.name} cannot be read: {str(refused).splitlines()[0][:160]}")
            continue
        records = {name.removesuffix(".json") for name in storage.names(where, records_key)}
        problems += [f"load {load} of {table.name} has a file and no record" for load in sorted(files.keys() - records)]
        problems += [f"load {load} of {table.name} has a record and no file" for load in sorted(records - files.keys())]
        for load in sorted(files.keys() & records):
            record = storage.read_json(where, f"{records_key}/{load}.json")
            kept, schema, error = _parquet(storage.fetch(where, f"{table.key}/{files[load]}.parquet"), deep)
            if error:
                problems.append(f"load {load} of {table.name} cannot be read: {error}")
            elif kept != record["rows"]:
                problems.append(f"load {load} of {table.name} holds {kept:,} rows, its record says {record['rows']:,}")
            elif schema != table.schema.names:
                old.append(f"load {load} of {table.name} has other columns than are declared")
            rejects = storage.fetch(where, f"raw/{project}/_rejects/{table.name}/{load}.parquet")
            if record["rejects"] != (_parquet(rejects, False)[0] if rejects.exists() else 0):
                problems.append(f"the rejects of load {load} of {table.name} are not the {record['rejects']:,} of its record")
            loads, rows = loads + 1, rows + kept
    name, place = f"{project}: raw", where.uri(f"raw/{project}")
    if old and not problems:
        yield Check(name, "warn", "; ".join(old[:SHOWN]), f"delete it in {place} and ingest its file again")
        return
    fine = f"{loads} loads, {rows:,} rows, {'all read' if deep else 'as recorded'}" if loads else "nothing ingested yet"
    yield judged(name, problems, fine, f"delete that load's file and record in {place}, then: skewless ingest {project}")


def _parquet(path: Path, through: bool) -> tuple[int, list[str], str]:
    """Rows, column names and what is wrong with a Parquet file; `through` reads every row of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            rows = sum(batch.num_rows for batch in file.iter_batches(65_536)) if through else file.metadata.num_rows
            return rows, file.schema_arrow.names, ""
    except (OSError, pa.ArrowException) as error:
        return 0, [], (str(error).splitlines() or [type(error).__name__])[0][:120]


def _snapshots(where: Storage, project: str, deep: bool) -> Iterator[Check]:
    """Every snapshot has the files of its record and no others, and their rows; deep: their hashes too."""
    key, problems = where.own(project, "snapshots"), []
    ids = storage.names(where, key)
    for identity in ids:
        folder, record = storage.fetch(where, f"{key}/{identity}"), storage.read_json(where, f"{key}/{identity}/snapshot.json")
        if record is None:
            problems.append(f"{identity} has no snapshot.json")
            continue
        wrong = _differing(folder, record["files"], "snapshot.json", deep)
        for split, count in record["counts"].items():
            shards = [_parquet(folder / name, False)[0] for name in record["files"] if name.startswith(f"features/{split}-")]
            if sum(shards) != count and not wrong:
                wrong.append(f"features of {split} hold {sum(shards):,} rows, not {count:,}")
        problems += [f"{identity}: {what}" for what in wrong]
    pointer = storage.read_json(where, where.own(project, "snapshot.json"))
    if pointer and pointer["id"] not in ids:
        problems.append(f"the current one, {pointer['id']}, is gone")
    fine = f"{len(ids)} whole{', hashes agree' if deep else ''}" if ids else "none yet"
    yield judged(f"{project}: snapshots", problems, fine, f"delete its folder in {where.uri(key)}, then: skewless snapshot {project}")


def _runs(where: Storage, project: str, deep: bool) -> Iterator[Check]:
    """Every run has its files and whole weights; deep: they are those that its bundle took."""
    from ml.bundle import RUN_FILES

    key, problems, compared = where.own(project, "runs"), [], 0
    packaged = _packaged(where, project) if deep else {}
    ids = [name for name in storage.names(where, key) if "." not in name]
    for identity in ids:
        folder = storage.fetch(where, f"{key}/{identity}")
        missing = [name for name in (*RUN_FILES, "training.json") if not (folder / name).is_file()]
        problems += [f"{identity}: {name} is missing" for name in missing]
        if "training.json" not in missing and storage.read_json(where, f"{key}/{identity}/training.json").get("id") != identity:
            problems.append(f"{identity}: training.json is of another run")
        if "weights.safetensors" not in missing and not _whole_weights(folder / "weights.safetensors"):
            problems.append(f"{identity}: weights.safetensors is truncated or holds no weights")
        for name, value in packaged.get(identity, {}).items():
            if name in RUN_FILES and name not in missing and hash_file(folder / name) != value:
                problems.append(f"{identity}: {name} is not what was packaged")
        compared += identity in packaged
    fine = f"{len(ids)} whole{f', {compared} as packaged' if deep else ''}" if ids else "none yet"
    yield judged(f"{project}: runs", problems, fine, f"delete its folder in {where.uri(key)}, then: skewless train {project}")


def _packaged(where: Storage, project: str) -> dict[str, dict[str, str]]:
    """The hashes of a run's files, as its bundle recorded them."""
    records = [storage.read_json(where, f"{key}/bundle.json") for key in _bundle_keys(where, project)]
    return {record["run"]: record["files"] for record in records if record}


def _whole_weights(path: Path) -> bool:
    """Whether a safetensors file is as long as its own header says."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if length > size - 8:
            return False
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return size == 8 + length + max(ends, default=0)


def _bundle_keys(where: Storage, project: str) -> list[str]:
    """The bundles in the model store, and those that packaging wrote."""
    keys = []
    for key in (where.own("bentoml", "models", project), where.own(project, "bundles")):
        keys += [f"{key}/{name}" for name in storage.names(where, key) if storage.fetch(where, f"{key}/{name}").is_dir()]
    return keys


def _bundles(where: Storage, project: str, deep: bool) -> Iterator[Check]:
    """Every bundle has its files; deep: all of them verify as they must before they serve."""
    from ml import bundle

    keys, problems = _bundle_keys(where, project), []
    for key in keys:
        folder = storage.fetch(where, key)
        try:
            if deep:
                bundle.verify(folder)
                continue
            record = storage.read_json(where, f"{key}/bundle.json")
            wrong = ["it has no record"] if record is None else _differing(folder, record["files"], "*", False)
            problems += [f"{key.removeprefix(where.own() + '/')}: {what}" for what in wrong]
        except SkewlessError as error:
            problems.append(f"{key.removeprefix(where.own() + '/')}: {error}")
    fine = f"{len(keys)} copies{', all verify' if deep else ' whole'}" if keys else "none yet"
    do = f"delete that folder below {where.uri(where.own())}, then: skewless package {project}"
    yield judged(f"{project}: bundles", problems, fine, do)


def _champion(where: Storage, project: str) -> Iterator[Check]:
    """The version that serves is there and verifies."""
    from ml import bundle, registry
    from ml.bundle import receipt

    name, record = f"{project}: champion", registry.champion(where, project)
    if record is None:
        packaged = storage.names(where, where.own(project, "bundles"))
        do = f"make one champion: skewless promote {project}"
        yield judged(name, ["a version is packaged and none is champion"] if packaged else [], "none yet", do, "warn")
        return
    try:
        receipt.require(Places(where, project), bundle.verify(registry.champion_folder(where, project)).id)
    except SkewlessError as error:
        place = where.uri(where.own("bentoml", "models", project, record["version"]))
        again = f"delete {place} and run: skewless package {project}"
        do = error.hint if "receipt" in str(error) else f"{again}; or serve the one before: skewless rollback {project}"
        yield Check(name, "fail", str(error), do)
        return
    since = record["promoted_at"][:16].replace("T", " ")
    yield Check(name, "ok", f"{record['version']} verifies, with a receipt for this code; champion since {since}")


def _differing(folder: Path, recorded: dict[str, str], allowed: str, deep: bool) -> list[str]:
    """What is missing, different or (unless `allowed` is *) too much in a folder of recorded files."""
    found = hash_tree(folder) if deep else {path.relative_to(folder).as_posix(): "" for path in folder.rglob("*") if path.is_file()}
    wrong = [f"{name} is missing" for name in recorded if name not in found]
    wrong += [f"{name} is not what was written" for name, value in recorded.items() if deep and found.get(name, value) != value]
    return wrong + [f"{name} does not belong there" for name in found if allowed != "*" and name not in recorded and name != allowed]
