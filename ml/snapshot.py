"""A green build → one frozen snapshot: feature shards, lookups, contract, and request rows for the receipt."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ml import provenance, storage
from ml.contract import Contract
from ml.contract import manifest as manifests
from ml.errors import GateError
from ml.hashing import BUCKETS, hash_tree
from ml.places import Places, make_current
from ml.storage import Storage
from ml.warehouse import Connection, Warehouse, memory_limit

REQUEST_ROWS = 12_000  # a receipt needs 10,000
SHARD_ROWS = 1_000_000
BATCH_ROWS = 65_536
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Snapshot:
    """A frozen snapshot: its id, its rows by split, and whether it was taken before."""

    id: str
    key: str
    counts: dict[str, int]
    unchanged: bool


def take(
    where: Storage, warehouse: Warehouse, contract: Contract, manifest: dict[str, Any], load_ids: list[str], progress: Progress
) -> Snapshot:
    """Freeze the project's feature table with all that must agree with it, and make that the current snapshot.

    `manifest`: the compiled one that the contract was read from.

    Raises:
        GateError: unless one build is green for every ancestor of the feature table.
    """
    project, places = contract.project, Places(where, contract.project)
    warehouse.require_green(project, load_ids)
    identity = _identity(where, contract, manifest, load_ids)
    key = places.snapshot(identity)
    record = storage.read_json(where, f"{key}/snapshot.json")
    if record is None:
        with (
            storage.staging(where, key) as folder,
            storage.scratch_folder(where) as scratch,
            warehouse.connection(f"skewless snapshot {project}", progress) as opened,
        ):
            warehouse.require_green(project, load_ids)  # again: no build of this workspace can run in between now
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
        for name in sorted(manifests.ancestors(manifest, manifests.features_node(manifest, contract.project)["unique_id"]))
    ]
    sql = {node["unique_id"]: (node.get("compiled_code") or node["checksum"]["checksum"]).replace(where.root, "") for node in needed}
    return provenance.key("ml.snapshot", loads=load_ids, sql=sql, contract=contract.to_json())


def _freeze(opened: Connection, contract: Contract, folder: Path, scratch: Path, progress: Progress) -> dict[str, Any]:
    """Write a snapshot's files to `folder`; its record without the id."""
    with _local(scratch) as local:
        counts = _freeze_features(opened, local, contract, folder / "features", scratch / "parts", progress)
        _freeze_requests(opened, local, contract, folder, scratch / "parts")
        for name in contract.lookups:
            local.register("asked", opened.stream(f"select * from {name}"))
            _write(local, "select * from asked order by all", folder / "lookups" / f"{name}.parquet")
    (folder / "contract.json").write_text(contract.to_json())
    (folder / "online.sql").write_text(contract.online_sql + "\n")
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": counts,
        "files": hash_tree(folder),
        "versions": {name: importlib.metadata.version(name) for name in ("duckdb", "dbt-core", "pyarrow")},
    }


def _local(scratch: Path) -> duckdb.DuckDBPyConnection:
    """An engine in memory that sorts what the warehouse gave; it knows no relation of the warehouse."""
    return duckdb.connect(":memory:", config={"memory_limit": memory_limit(), "temp_directory": str(scratch / "spill")})


def _freeze_features(
    opened: Connection, local: duckdb.DuckDBPyConnection, contract: Contract, folder: Path, parts: Path, progress: Progress
) -> dict[str, int]:
    """The shards of each split; rows by split.

    Raises:
        GateError: where a split is empty, or the feature table has not the rows of the request relation.
    """
    sample, split = contract.only("sample"), contract.only("split")
    table, request = contract.features_relation, contract.request_relation
    columns = _names(contract)
    requests = opened.count(request)
    shards = -(-requests // SHARD_ROWS) or 1
    # The features are computed once, into parts by the sample hash; a part is sorted here, the whole is not. A double holds
    # the product and the quotient exactly.
    part = f"cast(floor(cast({sample} as double) * {shards}e0 / {BUCKETS}e0) as integer)"
    progress("computing features", 0, 0)
    exported = opened.export(f"select {columns}, {part} as part from {table}", parts, "part", shards)
    counts: dict[str, int] = {}
    folder.mkdir()
    for number, files in enumerate(files for files in exported if files):
        source = f"read_parquet({[str(file) for file in files]}, hive_partitioning = false)"
        for name, rows in local.execute(f"select {split}, count(*) from {source} group by 1 order by 1").fetchall():
            path = folder / f"{name}-{number:04d}.parquet"
            local.execute(
                f"copy (select {columns} from {source} where {split} = '{name}' {_order(contract)}) to '{path}' "
                "(format parquet, compression zstd)"
            )
            counts[name] = counts.get(name, 0) + rows
        progress("freezing features", number + 1, shards)
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
    return dict(sorted(counts.items()))


def _freeze_requests(opened: Connection, local: duckdb.DuckDBPyConnection, contract: Contract, folder: Path, parts: Path) -> None:
    """The first REQUEST_ROWS rows of the sample as a client sends them, and the features that the warehouse gives for them."""
    key, sample, split = contract.only("key"), contract.only("sample"), contract.only("split")
    frozen = f"read_parquet('{parts}/*/*.parquet', hive_partitioning = false)"
    local.execute(f"create temp table sampled as select {key}, {sample} from {frozen} {_order(contract)} limit {REQUEST_ROWS}")
    (last,) = local.execute(f"select max({sample}) from sampled").fetchone() or (0,)
    columns = ", ".join([key, split, sample, contract.only("target"), *(column.name for column in contract.inputs)])
    # The warehouse gives all rows up to the last one's bucket, a few more than are wanted.
    local.register("asked", opened.stream(f"select {columns} from {contract.request_relation} where {sample} <= {last}"))
    _write(local, f"select {columns} from asked semi join sampled using ({key}) {_order(contract)}", folder / "requests.parquet")
    _write(
        local, f"select {_names(contract)} from {frozen} semi join sampled using ({key}) {_order(contract)}", folder / "expected.parquet"
    )


def _names(contract: Contract) -> str:
    return ", ".join(column.name for column in contract.columns)


def _order(contract: Contract) -> str:
    """A fixed shuffle: every prefix of the shards is a nested sample."""
    return f"order by {contract.only('sample')}, {contract.only('key')}"


def _write(local: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    reader = local.execute(sql).to_arrow_reader(BATCH_ROWS)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
