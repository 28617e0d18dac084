"""What the rules found: the scorecard of a build, and, where the files were simulated, how much of the truth the rules see."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import duckdb

from ml import ingest, provenance, records, storage
from ml.contract import manifest as manifests
from ml.contract.meta import SimulateMeta
from ml.errors import GateError
from ml.places import Places, identity
from ml.simulate.stored import MADE_FROM
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


@dataclass(frozen=True)
class Quality:
    """What the rules found in a build, and of a simulation's truth where one is loaded; `made_from` says what decided it."""

    made_from: str
    scorecard: list[RuleScore]
    truth: Truth | None = None


@dataclass(frozen=True)
class Planted:
    """A loaded simulation with what its project declares: relations, the defects that each column of `checked` is for, and meta."""

    folder: Path
    made_from: str | None
    declared: SimulateMeta
    checked: str
    request: str
    marks: dict[str, list[str]]


def quality(where: Storage, checkout: Path, warehouse: Warehouse, project: str, progress: Progress) -> tuple[Quality, bool]:
    """The scorecard and the truth, and whether the stored ones were still right and nothing was computed.

    Raises:
        GateError: where the project was not built.
    """
    places = Places(where, project)
    planted, run, build = _planted(where, checkout, warehouse, project, progress), _current_run(places), warehouse.last_invocation()
    simulation = None
    if planted:
        simulation = {**asdict(planted), "folder": planted.folder.name}
    loads = ingest.load_ids(where, checkout, project)
    made_from = provenance.key("ml.quality", build=build, loads=loads, simulation=simulation, run=run if planted else None)
    known = storage.read_json(where, places.quality())
    if known and known.get("made_from") == made_from and build is not None and warehouse.is_stored():
        return records.from_json(Quality, known), True
    card = scorecard(where, warehouse, project, progress)
    made = Quality(made_from, card, truth(where, warehouse, project, planted, run, progress) if planted else None)
    storage.write_json(where, places.quality(), records.to_json(made))
    return made, False


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


def truth(where: Storage, warehouse: Warehouse, project: str, planted: Planted, run: str | None, progress: Progress) -> Truth:
    """How much of a simulation's planted dirt the rules find, and its noise floor, with the errors of `run` where one is given."""
    checked, request, marks = planted.checked, planted.request, planted.marks
    with (
        storage.scratch_folder(where) as scratch,
        duckdb.connect(":memory:", config={"memory_limit": memory_limit(), "temp_directory": str(scratch)}) as local,
        warehouse.connection(f"skewless quality {project}", progress) as opened,
    ):
        # The truth is in local files that an engine need not reach: the rows that the rules mark are passed to it in batches.
        local.execute(f"create view truth as select * from read_parquet('{planted.folder}/truth/*.parquet')")
        plain = ("raw_file", "raw_row", planted.declared.noise, *planted.declared.truth)
        defects = [name for (name, *_) in local.execute("describe truth").fetchall() if name not in plain]
        local.register("checked", opened.stream(f"select raw_file, raw_row, {', '.join(marks)} from {checked}"))
        joined = "checked inner join truth using (raw_file, raw_row)"
        counted = local.execute(f"select {', '.join(_counts(defects, marks))} from {joined}").fetchone()
        assert counted is not None
        floor = []
        if planted.declared.noise is not None:
            local.register("files", opened.stream(f"select distinct raw_file, raw_load_id from {checked}").read_all())
            local.register("request", opened.stream(f"select split, raw_load_id, raw_row from {request}"))
            floor = local.execute(
                f"""select request.split, sqrt(avg(truth.{planted.declared.noise} ** 2)), count(*) from request
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
    return Truth(planted.folder.name, total, tuple(rows), _next_to_the_run(where, project, run, floor))


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


def _next_to_the_run(where: Storage, project: str, run: str | None, floor: list[tuple[str, float, int]]) -> dict[str, Floor]:
    """The floor by split; for the run's splits also its RMSE and how far above the floor that is."""
    from ml import evaluate  # torch takes seconds, and a scorecard needs none

    found = {split: Floor(value, rows) for split, value, rows in floor}
    if run is None or not found:
        return found
    metrics, _ = evaluate.evaluate(where, project, run, lambda *_: None)
    for split in metrics.splits:
        own, known = metrics.split(split), found.get(split)
        if known and known.rows == own.rows:
            found[split] = replace(known, rmse=own.error, above_floor=own.error / known.floor_rmse - 1)
    return found


def _current_run(places: Places) -> str | None:
    try:
        return identity(places, "run")
    except GateError:
        return None  # nothing trained yet


def _planted(where: Storage, checkout: Path, warehouse: Warehouse, project: str, progress: Progress) -> Planted | None:
    """The simulation whose files, by name and bytes, are all loaded."""
    declared = ingest.declared_simulation(checkout, project)
    folder = _loaded_simulation(where, checkout, project) if declared else None
    if declared is None or folder is None or not warehouse.is_stored():
        return None
    manifest = warehouse.compiled_manifest(project, progress)
    features = manifests.features_node(manifest, project)
    request = manifests.model_named(manifest, manifests.ml_meta(features).request)
    assert request is not None
    checked = manifests.checked_node(manifest, request)
    assert checked is not None
    by_rule = {name: list(manifests.catches(checked, entry)) for name, entry in checked["columns"].items()}
    marks = {name: defects for name, defects in by_rule.items() if defects}
    made_from = storage.read_json(where, f"simulated/{project}/{folder.name}/{MADE_FROM}")
    return Planted(folder, made_from["key"] if made_from else None, declared, checked["name"], request["name"], marks)


def _loaded_simulation(where: Storage, checkout: Path, project: str) -> Path | None:
    """The folder of the simulation whose files, by name and bytes, are all loaded."""
    loaded = {(load.file, load.bytes) for load in ingest.loads(where, checkout, project)}
    for name in storage.names(where, f"simulated/{project}"):
        record = storage.read_json(where, f"simulated/{project}/{name}/simulation.json")
        if record and {(file["name"], file["bytes"]) for file in record["files"]} <= loaded:
            return storage.fetch(where, f"simulated/{project}/{name}")
    return None
