"""What the rules found: the scorecard of a build, and, where the files were simulated, how much of the truth the rules see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from ml import ingest, storage
from ml.contract import manifest as manifests
from ml.errors import GateError
from ml.places import Places, identity
from ml.storage import Storage
from ml.warehouse import Warehouse, memory_limit, relations
from ml.warehouse.relations import RuleScore

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Defect:
    """A kind of planted dirt: its rows, the `rules` that are for it, and what they find. Of the `marked` rows the share with
    a defect that those rules are for is the precision; of its own rows the share that they mark is the recall.
    """

    defect: str
    rows: int
    share: float
    rules: tuple[str, ...]
    found: int
    marked: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True)
class Floor:
    """The noise of the simulator in a split's rows, as RMSE, and the current run's RMSE on the same rows."""

    floor_rmse: float
    rows: int
    rmse: float | None = None
    above_floor: float | None = None


@dataclass(frozen=True)
class Truth:
    """How much of a simulation's planted dirt the rules find, and its noise floor by split."""

    simulation: str
    rows: int
    defects: tuple[Defect, ...]
    noise_floor: dict[str, Floor]


def scorecard(where: Storage, warehouse: Warehouse, project: str, progress: Progress) -> list[RuleScore]:
    """A row for each rule over all loads, the costliest first: broken and raw rows, the load that it cost most, and exemptions.

    Raises:
        GateError: where the project was not built.
    """
    card = None
    if warehouse.is_stored():
        with warehouse.connection(f"skewless quality {project}", progress) as opened:
            card = relations.scorecard(opened, project)
    if card is None:
        raise GateError(f"project {project} has no scorecard in workspace {where.workspace}", f"run: skewless build {project}")
    return card


def truth(where: Storage, checkout: Path, warehouse: Warehouse, project: str, progress: Progress) -> Truth | None:
    """How much of a simulation's planted dirt the rules find, and its noise floor; None where no simulation is loaded."""
    folder = _loaded_simulation(where, checkout, project)
    if folder is None:
        return None
    manifest = warehouse.compiled_manifest(project, progress)
    features = manifests.features_node(manifest, project)
    request = manifests.model_named(manifest, manifests.ml_meta(features).request)
    assert request is not None
    checked = manifests.checked_node(manifest, request)
    assert checked is not None
    by_rule = {name: list(manifests.catches(checked, entry)) for name, entry in checked["columns"].items()}
    marks = {name: defects for name, defects in by_rule.items() if defects}
    with (
        storage.scratch_folder(where) as scratch,
        duckdb.connect(":memory:", config={"memory_limit": memory_limit(), "temp_directory": str(scratch)}) as local,
        warehouse.connection(f"skewless quality {project}", progress) as opened,
    ):
        # The truth is in local files that an engine need not reach: the rows that the rules mark are passed to it in batches.
        local.execute(f"create view truth as select * from read_parquet('{folder}/truth/*.parquet')")
        plain = ("raw_file", "raw_row", "expected_fare_usd", "fare_noise_usd")
        defects = [name for (name, *_) in local.execute("describe truth").fetchall() if name not in plain]
        local.register("checked", opened.stream(f"select raw_file, raw_row, {', '.join(marks)} from {checked['name']}"))
        joined = "checked inner join truth using (raw_file, raw_row)"
        counted = local.execute(f"select {', '.join(_counts(defects, marks))} from {joined}").fetchone()
        assert counted is not None
        local.register("files", opened.stream(f"select distinct raw_file, raw_load_id from {checked['name']}").read_all())
        local.register("request", opened.stream(f"select split, raw_load_id, raw_row from {request['name']}"))
        floor = local.execute(
            """select request.split, sqrt(avg(truth.fare_noise_usd ** 2)), count(*) from request
            inner join files using (raw_load_id)
            inner join truth on truth.raw_file = files.raw_file and truth.raw_row = request.raw_row group by all"""
        ).fetchall()
    numbers = iter(counted)
    total = next(numbers)
    rows = []
    for defect in defects:
        rules = [name for name, caught in marks.items() if defect in caught]
        count, found, marked, rightly = (next(numbers) for _ in range(4))
        rows.append(Defect(
            defect=defect, rows=count, share=count / total, rules=tuple(rules), found=found, marked=marked,
            recall=found / count if rules and count else None, precision=rightly / marked if marked else None,
        ))  # fmt: skip
    return Truth(folder.name, total, tuple(rows), _next_to_the_run(where, project, floor))


def _counts(defects: list[str], marks: dict[str, list[str]]) -> list[str]:
    """For each defect: its rows, those that its rules mark, all rows that they mark, and those of them with any of their defects."""
    counts = ["count(*)"]
    for defect in defects:
        rules = [name for name, caught in marks.items() if defect in caught]
        marked = " or ".join(f"not {name}" if name.startswith("ok_") else name for name in rules) or "false"
        found = " or ".join(f"truth.{name}" for name in sorted({name for rule in rules for name in marks[rule]} & set(defects))) or "false"
        conditions = (f"truth.{defect}", f"truth.{defect} and ({marked})", marked, f"({marked}) and ({found})")
        counts += [f"count(*) filter (where {condition})" for condition in conditions]
    return counts


def _next_to_the_run(where: Storage, project: str, floor: list[tuple[str, float, int]]) -> dict[str, Floor]:
    """The floor by split; for the current run's splits also its RMSE and how far above the floor that is."""
    from ml import evaluate  # torch takes seconds, and a scorecard needs none

    found = {split: Floor(value, rows) for split, value, rows in floor}
    try:
        metrics, _ = evaluate.evaluate(where, project, identity(Places(where, project), "run"), lambda *_: None)
    except GateError:
        return found  # nothing trained yet
    for split in metrics.splits:
        own, known = metrics.split(split), found.get(split)
        if known and known.rows == own.rows:
            found[split] = replace(known, rmse=own.error, above_floor=own.error / known.floor_rmse - 1)
    return found


def _loaded_simulation(where: Storage, checkout: Path, project: str) -> Path | None:
    """The folder of the simulation whose files, by name and bytes, are all loaded."""
    loaded = {(load.file, load.bytes) for load in ingest.loads(where, checkout, project)}
    for name in storage.names(where, f"simulated/{project}"):
        record = storage.read_json(where, f"simulated/{project}/{name}/simulation.json")
        if record and {(file["name"], file["bytes"]) for file in record["files"]} <= loaded:
            return storage.fetch(where, f"simulated/{project}/{name}")
    return None
