"""A green build → one frozen snapshot: feature shards, lookups, contract, and request rows for the receipt."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ml import provenance, storage, warehouse
from ml.contract import Contract
from ml.contract import manifest as manifests
from ml.errors import GateError
from ml.hashing import BUCKETS, hash_tree
from ml.places import Places, make_current
from ml.storage import Storage

REQUEST_ROWS = 12_000  # a receipt needs 10,000
SHARD_ROWS = 1_000_000
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Snapshot:
    """A frozen snapshot: its id, its rows by split, and whether it was taken before."""

    id: str
    key: str
    counts: dict[str, int]
    unchanged: bool


def take(where: Storage, checkout: Path, contract: Contract, manifest: dict[str, Any], load_ids: list[str], progress: Progress) -> Snapshot:
    """Freeze the project's feature table with all that must agree with it, and make that the current snapshot.

    `manifest`: the compiled one that the contract was read from.

    Raises:
        GateError: unless one build is green for every ancestor of the feature table.
    """
    project, places = contract.project, Places(where, contract.project)
    warehouse.require_green(where, checkout, project, load_ids)
    identity = _identity(where, contract, manifest, load_ids)
    key = places.snapshot(identity)
    record = storage.read_json(where, f"{key}/snapshot.json")
    if record is None:
        with (
            storage.staging(where, key) as folder,
            storage.scratch_folder(where) as scratch,
            warehouse.connection(where, f"skewless snapshot {project}", progress) as opened,
        ):
            warehouse.require_green(where, checkout, project, load_ids)  # again: now no build of ours can come between
            record = _freeze(opened, contract, folder, scratch, progress)
            record = {"id": identity, "project": project, "loads": load_ids, **record}
            storage.write_local_json(folder / "snapshot.json", record)
        unchanged = False
    else:
        unchanged = True
    make_current(places, "snapshot", identity)
    return Snapshot(identity, key, record["counts"], unchanged)


def _identity(where: Storage, contract: Contract, manifest: dict[str, Any], load_ids: list[str]) -> str:
    """12 hexadecimal digits over everything that went in: raw loads, compiled SQL, seeds, salts (in the SQL), contract."""
    needed = [
        manifest["nodes"][name]
        for name in sorted(warehouse.ancestors(manifest, manifests.features_node(manifest, contract.project)["unique_id"]))
    ]
    sql = {node["unique_id"]: (node.get("compiled_code") or node["checksum"]["checksum"]).replace(where.root, "") for node in needed}
    return provenance.key("ml.snapshot", loads=load_ids, sql=sql, contract=contract.to_json())


def _freeze(opened: duckdb.DuckDBPyConnection, contract: Contract, folder: Path, scratch: Path, progress: Progress) -> dict[str, Any]:
    key, sample, split = contract.only("key"), contract.only("sample"), contract.only("split")
    table, request = contract.features_relation, contract.request_relation
    columns = ", ".join(column.name for column in contract.columns)
    order = f"order by {sample}, {key}"  # a fixed shuffle: every prefix of the shards is a nested sample

    (requests,) = opened.execute(f"select count(*) from {request}").fetchone() or (0,)
    shards = -(-requests // SHARD_ROWS) or 1
    # The features are computed once, into parts by the sample hash; a part is sorted in memory, the whole never is.
    part = f"cast(floor({sample} * {shards}.0 / {BUCKETS}) as integer)"
    progress("computing features", 0, 0)
    cut = f"select {columns}, {part} as part from {table}"
    opened.execute(f"copy ({cut}) to '{scratch}' (format parquet, partition_by (part), compression lz4, overwrite)")
    parts = [f"{scratch}/part={number}/*.parquet" for number in range(shards) if list(scratch.glob(f"part={number}/*.parquet"))]
    counts: dict[str, int] = {}
    (folder / "features").mkdir()
    for number, files in enumerate(parts):
        source = f"read_parquet('{files}', hive_partitioning = false)"
        for name, rows in opened.execute(f"select {split}, count(*) from {source} group by 1 order by 1").fetchall():
            path = folder / "features" / f"{name}-{number:04d}.parquet"
            opened.execute(
                f"copy (select {columns} from {source} where {split} = '{name}' {order}) to '{path}' (format parquet, compression zstd)"
            )
            counts[name] = counts.get(name, 0) + rows
        progress("freezing features", number + 1, shards)
    counts = dict(sorted(counts.items()))
    if sum(counts.values()) != requests:
        raise GateError(
            f"{table} has {sum(counts.values()):,} rows and {request} has {requests:,}",
            f"a join of {table} loses or repeats rows; make its lookups unique by their key",
        )
    for needed in ("train", "validation", "test"):
        if not counts.get(needed):
            raise GateError(
                f"the split {needed} of {table} is empty", "add data, or look at the shares and the cut in the vars of dbt_project.yml"
            )

    frozen = f"read_parquet('{scratch}/*/*.parquet', hive_partitioning = false)"
    inputs = ", ".join(f"request.{column.name}" for column in contract.inputs)
    opened.execute(f"create temp table sampled as select {key} from {frozen} {order} limit {REQUEST_ROWS}")
    own = f"request.{key}, request.{split}, request.{sample}, request.{contract.only('target')}"
    _write(
        opened,
        f"select {own}, {inputs} from {request} as request semi join sampled using ({key}) {order}",
        folder / "requests.parquet",
    )
    _write(opened, f"select {columns} from {frozen} semi join sampled using ({key}) {order}", folder / "expected.parquet")
    for name in contract.lookups:
        _write(opened, f"select * from {name} order by all", folder / "lookups" / f"{name}.parquet")
    (folder / "contract.json").write_text(contract.to_json())
    (folder / "online.sql").write_text(contract.online_sql + "\n")
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": counts,
        "files": hash_tree(folder),
        "versions": {name: importlib.metadata.version(name) for name in ("duckdb", "dbt-core", "pyarrow")},
    }


def _write(opened: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    reader = warehouse.stream(opened, sql)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
