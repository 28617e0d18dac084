"""What the rules found: the scorecard of a build, and, where the files were simulated, how much of the truth the rules see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from ml import evaluate, ingest, storage
from ml.contract import manifest as manifests
from ml.errors import GateError
from ml.storage import Storage
from ml.warehouse import Warehouse, memory_limit, relations

Progress = Callable[[str, float, float], None]


def scorecard(where: Storage, warehouse: Warehouse, project: str, progress: Progress) -> list[dict[str, Any]]:
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


def truth(where: Storage, checkout: Path, warehouse: Warehouse, project: str, progress: Progress) -> dict[str, Any] | None:
    """How much of a simulation's planted dirt the rules find: for each defect its rows, the rules that are for it, and their
    precision and recall; and the simulator's own noise floor beside the current run. None where no simulation is loaded.

    Precision: of the rows that a defect's rules mark, the share with a defect that those rules are for. Recall: of the rows
    with the defect, the share that they mark.
    """
    folder = _loaded_simulation(where, checkout, project)
    if folder is None:
        return None
    manifest = warehouse.compiled_manifest(project, progress)
    features = manifests.features_node(manifest, project)
    request = manifests.model_named(manifest, manifests.meta(features)["ml"]["request"])
    assert request is not None
    checked = manifests.checked_node(manifest, request)
    assert checked is not None
    marks = {name: manifests.catches(entry) for name, entry in checked["columns"].items() if manifests.catches(entry)}
    with (
        storage.scratch_folder(where) as scratch,
        duckdb.connect(":memory:", config={"memory_limit": memory_limit(), "temp_directory": str(scratch)}) as local,
        warehouse.connection(f"skewless quality {project}", progress) as opened,
    ):
        # The truth is in local files that an engine need not reach: what the rules mark comes to it, in batches.
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
        rows.append({
            "defect": defect, "rows": count, "share": count / total, "rules": rules, "found": found, "marked": marked,
            "recall": found / count if rules and count else None, "precision": rightly / marked if marked else None,
        })  # fmt: skip
    return {"simulation": folder.name, "rows": total, "defects": rows, "noise_floor": _beside_the_run(where, project, floor)}


def _counts(defects: list[str], marks: dict[str, list[str]]) -> list[str]:
    """For each defect: its rows, those that its rules mark, all rows that they mark, and those of them with any of their defects."""
    counts = ["count(*)"]
    for defect in defects:
        rules = [name for name, caught in marks.items() if defect in caught]
        marked = " or ".join(f"not {name}" if name.startswith("ok_") else name for name in rules) or "false"
        theirs = " or ".join(f"truth.{name}" for name in sorted({name for rule in rules for name in marks[rule]} & set(defects))) or "false"
        conditions = (f"truth.{defect}", f"truth.{defect} and ({marked})", marked, f"({marked}) and ({theirs})")
        counts += [f"count(*) filter (where {condition})" for condition in conditions]
    return counts


def _beside_the_run(where: Storage, project: str, floor: list[tuple[str, float, int]]) -> dict[str, Any]:
    """The floor by split; for the current run's splits also its RMSE and how far above the floor that is."""
    found: dict[str, Any] = {split: {"floor_rmse": value, "rows": rows} for split, value, rows in floor}
    try:
        metrics, _ = evaluate.evaluate(where, project, lambda *_: None)
    except GateError:
        return found  # nothing trained yet
    for split in evaluate.SPLITS:
        if metrics.get(split) and split in found and metrics[split]["rows"] == found[split]["rows"]:
            found[split] |= {"rmse": metrics[split]["rmse"], "above_floor": metrics[split]["rmse"] / found[split]["floor_rmse"] - 1}
    return found


def _loaded_simulation(where: Storage, checkout: Path, project: str) -> Path | None:
    """The folder of the simulation whose files, by name and bytes, are all loaded."""
    loaded = {(load.file, load.bytes) for load in ingest.loads(where, checkout, project)}
    for name in storage.names(where, f"simulated/{project}"):
        record = storage.read_json(where, f"simulated/{project}/{name}/simulation.json")
        if record and {(file["name"], file["bytes"]) for file in record["files"]} <= loaded:
            return storage.fetch(where, f"simulated/{project}/{name}")
    return None
