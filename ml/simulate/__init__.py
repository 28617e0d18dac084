"""Invented raw files that look like the published ones, with their dirt, and the truth about it in separate files.

One module a project, `ml/simulate/<project>.py`, with one function `generate`. Rows and seed decide every byte.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.errors import UsageError

SEEDS = 1 << 64  # a seed is one word of the random numbers' key


@dataclass(frozen=True)
class Simulation:
    """The raw files that were written (names in the folder, the truth not among them), their rows and their bytes together."""

    files: tuple[str, ...]
    rows: int
    bytes: int


def simulate(
    project: str, rows: int, seed: int, folder: Path, progress: Callable[[str, float, float], None], threads: int = 2
) -> Simulation:
    """Fill an empty folder with exactly `rows` rows of raw files, with `truth/`, and at the very end with `simulation.json`.

    Raises:
        UsageError: for a project that has no simulator, or rows or a seed that are out of range.
    """
    if rows < 1:
        raise UsageError(f"--simulate must be at least 1, got {rows}", "ask for one row or more")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"--seed must be in [0, 2^64), got {seed}", "give a whole number from 0 on, below 2^64")
    name = f"{__name__}.{project}"
    module = importlib.import_module(name) if project.isidentifier() and importlib.util.find_spec(name) else None
    generate = getattr(module, "generate", None)
    if generate is None:
        raise UsageError(f"project {project} has no simulator", f"give files instead, or write ml/simulate/{project}.py")
    done: Simulation = generate(rows, seed, folder, progress, max(threads, 1))
    return done
