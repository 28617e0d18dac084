"""Simulations below the storage root: made once for each project, rows and seed, and found again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml import ingest, simulate, storage
from ml.storage import Storage

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Stored:
    """A simulation's folder and the names of its raw files."""

    folder: Path
    files: tuple[str, ...]


def files(where: Storage, project: str, rows: int, seed: int, progress: Progress) -> Stored:
    """The simulated raw files of a project, made unless they are stored already.

    Raises:
        UsageError: for a project without a simulator, or rows or a seed that are out of range.
    """
    key = f"simulated/{project}/{rows}-{seed}"
    record = storage.read_json(where, f"{key}/simulation.json")
    if record is None:
        with storage.staging(where, key) as folder:
            simulate.simulate(project, rows, seed, folder, progress)
        record = storage.read_json(where, f"{key}/simulation.json")
    return Stored(storage.fetch(where, key), tuple(file["name"] for file in record["files"]))


def sources(stored: Stored) -> list[str]:
    """The raw files as `ingest` takes them; the truth in separate files is not for training."""
    return [str(stored.folder / name) for name in stored.files]


def remove_others(where: Storage, checkout: Path, project: str, stored: Stored) -> None:
    """Take the months of an earlier simulation out of the raw tables that this one did not replace."""
    ingest.remove(where, checkout, project, lambda load: load.file.startswith("simulated_") and load.file not in stored.files)
