"""Simulations below the storage root: made once for each project, rows and seed, and again when the simulator was edited."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml import ingest, provenance, simulate, storage
from ml.contract.meta import SimulateMeta
from ml.ingest import Load
from ml.storage import Storage

Progress = Callable[[str, float, float], None]
MADE_FROM = "made_from.json"


@dataclass(frozen=True)
class Stored:
    """A simulation's folder and the names of its raw files."""

    folder: Path
    files: tuple[str, ...]


def files(where: Storage, project: str, wanted: SimulateMeta, progress: Progress) -> Stored:
    """The simulated raw files of a project, made unless the same code made them before.

    Raises:
        UsageError: for a module that is no simulator, or rows or a seed out of range.
    """
    key, made_from = _key(project, wanted), _made_from(wanted)
    if not _is_current(where, key, made_from):
        with storage.staging(where, key) as folder:
            simulate.simulate(wanted.module, wanted.rows, wanted.seed, folder, progress)
            (folder / MADE_FROM).write_text(json.dumps({"key": made_from}) + "\n")
    record = storage.read_json(where, f"{key}/simulation.json")
    return Stored(storage.fetch(where, key), tuple(file["name"] for file in record["files"]))


def is_outdated(where: Storage, project: str, wanted: SimulateMeta, loaded: list[Load]) -> bool:
    """Whether all that is loaded is this simulation, and the simulator was edited since."""
    key = _key(project, wanted)
    record = storage.read_json(where, f"{key}/simulation.json")
    written = {(file["name"], file["bytes"]) for file in record["files"]} if record else set()
    return {(load.file, load.bytes) for load in loaded} == written and not _is_current(where, key, _made_from(wanted))


def sources(stored: Stored) -> list[str]:
    """The raw files as `ingest` takes them, without the truth."""
    return [str(stored.folder / name) for name in stored.files]


def remove_others(where: Storage, checkout: Path, project: str, stored: Stored) -> None:
    """Take the months of an earlier simulation out of the raw tables that this one did not replace."""
    ingest.remove(where, checkout, project, lambda load: load.file.startswith("simulated_") and load.file not in stored.files)


def _key(project: str, wanted: SimulateMeta) -> str:
    return f"simulated/{project}/{wanted.rows}-{wanted.seed}"


def _made_from(wanted: SimulateMeta) -> str:
    simulate.simulator(wanted.module)  # a module that is none has a message of its own
    return provenance.key(wanted.module, rows=wanted.rows, seed=wanted.seed)


def _is_current(where: Storage, key: str, made_from: str) -> bool:
    return bool(storage.read_json(where, f"{key}/{MADE_FROM}") == {"key": made_from})
