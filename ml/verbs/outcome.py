"""What every verb receives and returns."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.console import Bar
from ml.storage import Storage


@dataclass(frozen=True)
class Context:
    """Where a verb works, and on what."""

    where: Storage
    checkout: Path
    project: str
    progress: Bar
    arguments: argparse.Namespace


@dataclass(frozen=True)
class Outcome:
    """What a verb did. `details` is what `--json` prints in addition; `rows` and `bytes` go to the ledger."""

    summary: str
    details: dict[str, Any] = field(default_factory=dict)
    unchanged: bool = False
    code: int = 0
    rows: int = 0
    bytes: int = 0
    shown: tuple[Any, ...] = ()


def shown_path(context: Context, key: str) -> str:
    """The path of a stored result as it is shown: relative to the checkout if it is below it."""
    path = Path(context.where.uri(key))
    return str(path.relative_to(context.checkout) if path.is_relative_to(context.checkout) else path)


def project_names(checkout: Path) -> list[str]:
    """The projects of a checkout: the folders of models/."""
    return sorted(path.name for path in (checkout / "models").iterdir() if path.is_dir() and not path.name.startswith("."))
