"""Invented raw files that look like the published ones, with their defects, and the truth about them.

A project names its simulator in YAML (`meta.ingest.simulate`): a module of this package with one function `generate`. Rows
and seed decide every byte.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ml.contract.meta import SIMULATORS
from ml.errors import UsageError

SEEDS = 1 << 64  # a seed is one word of the random numbers' key


@dataclass(frozen=True)
class Simulation:
    """The raw files that were written (names in the folder, the truth not among them), their rows and their bytes together."""

    files: tuple[str, ...]
    rows: int
    bytes: int


def simulate(
    module: str, rows: int, seed: int, folder: Path, progress: Callable[[str, float, float], None], threads: int = 2
) -> Simulation:
    """Fill an empty folder with exactly `rows` rows of raw files, with `truth/`, and at the very end with `simulation.json`.

    Raises:
        UsageError: for a module that is no simulator, or rows or a seed out of range.
    """
    if rows < 1:
        raise UsageError(f"--simulate must be at least 1, got {rows}", "ask for one row or more")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"--seed must be in [0, 2^64), got {seed}", "give a whole number from 0 on, below 2^64")
    done: Simulation = simulator(module).generate(rows, seed, folder, progress, max(threads, 1))
    return done


def simulator(module: str) -> ModuleType:
    """The imported module of a simulator; nothing outside this package is imported.

    Raises:
        UsageError: for a module that is not in this package, does not exist or has no function `generate`.
    """
    hint = "name a module below ml.simulate in meta.ingest.simulate.module, with a function generate"
    if not module.startswith(SIMULATORS) or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"a simulator must be a module below ml.simulate, got {module}", hint)
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a parent that does not exist or is no package
        found = None
    if found is None:
        raise UsageError(f"there is no simulator {module}", hint)
    imported = importlib.import_module(module)
    if not callable(getattr(imported, "generate", None)):
        raise UsageError(f"the module {module} has no function generate", hint)
    return imported
