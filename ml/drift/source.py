"""What is judged, as one table: the rows that the service logged, or the out-of-time rows of a snapshot, answered now."""

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ml import contract as contracts
from ml import storage
from ml.contract import Contract
from ml.errors import GateError
from ml.places import Places
from ml.places import identity as newest
from ml.storage import Storage

TYPES = {"text": "varchar", "integer": "bigint", "double": "double", "boolean": "boolean", "timestamp": "timestamp", "date": "date"}
ANSWERS = ("prediction", "prediction_lower", "prediction_upper")
MIN_ROWS = 100  # fewer say nothing: not of a log, not of a window
MEMORY = "1GB"  # beyond it DuckDB spills to the scratch folder
TRAINING_ROWS = 200_000
NAMES = {"request": "rows of requests", "smoke_test": "rows of the smoke test"}
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Source:
    """What the relation `judged` holds: kind (request, smoke_test, out_of_time), its name in a sentence, and counts.

    Columns of `judged`: _id, _at (timestamp, or null), _group (what resampling keeps together), _truth (double, or null),
    the prediction, its bounds, and every feature.
    """

    kind: str
    name: str
    rows: int
    unreadable: int = 0
    undated: int = 0


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database in a scratch folder, with bounded memory."""
    return duckdb.connect(str(folder / "rows.duckdb"), config={"memory_limit": MEMORY})


def log_files(log: Path) -> list[str]:
    return sorted(str(path) for path in log.glob("data/*"))


def from_log(opened: duckdb.DuckDBPyConnection, log: Path, truths: list[str], contract: Contract) -> Source:
    """The prediction log of one version. `_at` is when it was asked, in UTC: a request does not carry the time of its event.

    Requests are judged once there are MIN_ROWS of them; until then, the held-back rows of the smoke test. A line that
    is not JSON, or that has no prediction_id, is counted and left out. `truths`: the files that `outcomes` keeps.
    """
    names = [column.name for column in contract.features]
    columns = {"prediction_id": "varchar", "predicted_at": "varchar", "source": "varchar", **dict.fromkeys(ANSWERS, "double")}
    columns |= {column.name: TYPES[column.type] for column in contract.features}
    if not log_files(log):
        return Source("request", NAMES["request"], 0)
    opened.execute(
        "create table logged as select * from read_json(?, format = 'newline_delimited', columns = "
        f"{{{', '.join(f'{_quoted(name)}: {kind!r}' for name, kind in columns.items())}}}, ignore_errors = true)",
        [log_files(log)],
    )
    _keep_truth(opened, truths, contract)
    ((unreadable,),) = opened.execute("select count(*) - count(prediction_id) from logged").fetchall()
    counts = dict(opened.execute("select source, count(*) from logged where prediction_id is not null group by source").fetchall())
    kind = "smoke_test" if counts.get("request", 0) < MIN_ROWS <= counts.get("smoke_test", 0) else "request"
    opened.execute(f"""
        create view judged as
        select logged.prediction_id as _id, try_cast(predicted_at as timestamp) as _at,
            cast(try_cast(predicted_at as date) as varchar) as _group, truth.value as _truth, {_finite(contract, names)}
        from logged left join truth using (prediction_id) where logged.source = '{kind}' and prediction_id is not null
    """)
    ((undated,),) = opened.execute("select count(*) - count(_at) from judged").fetchall()
    return Source(kind, NAMES[kind], counts.get(kind, 0), unreadable, undated)


def from_snapshot(
    opened: duckdb.DuckDBPyConnection, frozen: tuple[str, Path], bundle: Path, contract: Contract, progress: Progress
) -> Source:
    """The out-of-time rows of a snapshot with the champion's answers. `_at` is the contract's own time column.

    Raises:
        GateError: where the snapshot has none.
    """
    identity, folder = frozen
    rows = _answer(opened, "judged", folder, "out_of_time", bundle, contract, None, progress)
    if not rows:
        raise GateError(
            f"snapshot {identity} of {contract.project} has no out-of-time rows",
            "they are the rows at or after the cut in the vars of dbt_project.yml; ingest later data, build and snapshot",
        )
    return Source("out_of_time", f"out-of-time rows of snapshot {identity}", rows)


def add_training_rows(opened: duckdb.DuckDBPyConnection, where: Storage, bundle: Path, contract: Contract, progress: Progress) -> bool:
    """The relation `training`, like `judged`: a nested sample of the rows that the champion learned from. False where
    their snapshot is gone.
    """
    identity = json.loads((bundle / "bundle.json").read_text())["snapshot"]
    folder = storage.fetch(where, Places(where, contract.project).snapshot(identity))
    return folder.is_dir() and _answer(opened, "training", folder, "train", bundle, contract, TRAINING_ROWS, progress) > 0


def _answer(
    opened: duckdb.DuckDBPyConnection, relation: str, snapshot_folder: Path, split: str, bundle: Path, contract: Contract,
    most: int | None, progress: Progress,
) -> int:  # fmt: skip
    """Make a relation of the first `most` rows of a split with the champion's answers; how many there are."""
    from ml import (
        dataset,  # torch takes seconds, and a log of one window needs none
        predictor,
    )

    total = min(dataset.count_rows(snapshot_folder, split), most or sys.maxsize)
    if not total:
        return 0
    model = predictor.load_network(bundle, contract)
    names = [column.name for column in contract.features]

    def answered() -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in dataset.first(dataset.record_batches(snapshot_folder, split), total):
            predicted = predictor.predict(model, batch)
            none = [None] * batch.num_rows
            yield pa.RecordBatch.from_pydict({
                "_id": batch[contract.only("key")].cast(pa.string()),
                "_at": batch[contract.only("time")].cast(pa.timestamp("us")),
                "_group": batch[contract.only("group")].cast(pa.string()),
                "_truth": pa.array(dataset.target_values(batch, contract.only("target")), pa.float64()),
                "prediction": pa.array(predicted.prediction, pa.float64()),
                "prediction_lower": pa.array(none if predicted.lower is None else predicted.lower, pa.float64()),
                "prediction_upper": pa.array(none if predicted.upper is None else predicted.upper, pa.float64()),
                **{name: batch[name] for name in names},
            })  # fmt: skip
            done += batch.num_rows
            progress(f"answering {split} rows", done, total)

    batches = answered()
    first = next(batches)
    opened.register("answered", pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], batches)))
    opened.execute(f"create table {relation} as select _id, _at, _group, _truth, {_finite(contract, names)} from answered")
    opened.unregister("answered")
    return total


def replayable(where: Storage, project: str, bundle: Path, asked: str | None = None) -> tuple[str, Path]:
    """The snapshot whose out-of-time rows the champion can answer: the current one, if its feature SQL, lookups and
    feature columns are still the champion's; else the one that the champion was made from.
    """
    about = json.loads((bundle / "bundle.json").read_text())
    places = Places(where, project)
    own = (about["snapshot"], storage.fetch(where, places.snapshot(about["snapshot"])))
    if asked is not None:
        return asked, storage.fetch(where, places.snapshot(asked))
    identity = newest(places, "snapshot")
    folder = storage.fetch(where, places.snapshot(identity))
    files = json.loads((folder / "snapshot.json").read_text())["files"]
    needed = {name: value for name, value in about["files"].items() if name == "online.sql" or name.startswith("lookups/")}
    same = contracts.load(folder / "contract.json").features == contracts.load(bundle / "contract.json").features
    return (identity, folder) if same and all(files.get(name) == value for name, value in needed.items()) else own


def _keep_truth(opened: duckdb.DuckDBPyConnection, truths: list[str], contract: Contract) -> None:
    """The relation `truth`: one value a prediction; of several files the one given last counts."""
    if not truths:
        opened.execute("create table truth (prediction_id varchar, value double)")
        return
    name = _quoted(contract.only("target"))
    opened.execute(
        f"create table truth as select prediction_id, arg_max({name}, added_at) as value from read_parquet(?) group by prediction_id",
        [truths],
    )


def _finite(contract: Contract, names: list[str]) -> str:
    """The answers and features of a row; what is not finite counts as missing, as it has no place on any scale."""
    doubles = {*ANSWERS, *(column.name for column in contract.features if column.type == "double")}
    quoted = {name: _quoted(name) for name in (*ANSWERS, *names)}
    return ", ".join(f"case when isfinite({q}) then {q} end as {q}" if name in doubles else q for name, q in quoted.items())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def log_state(log: Path) -> list[Any]:
    """What distinguishes one state of a log from another: BentoML only ever appends to its files."""
    return [[Path(path).name, Path(path).stat().st_size] for path in log_files(log)]
