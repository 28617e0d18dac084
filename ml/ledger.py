"""The ledger: one row for each step run, what it used and what it cost."""

import contextlib
import os
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ml import storage
from ml.storage import Storage


@dataclass
class Entry:
    """One step run. Times in seconds, memory in bytes, cost in US dollars; `bytes` are what ingest and predict read, or others keep."""

    step: str
    project: str
    workspace: str
    run: str
    started_at: str
    status: str = "failed"
    unchanged: bool = False
    rows: int = 0
    bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    cost_usd: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def step(where: Storage, name: str, project: str) -> Iterator[Entry]:
    """Measure a block and write its row, whether it ends well or not.

    Each step is a process of its own, so the process's peak memory and its children's is the step's.
    """
    entry = Entry(
        step=name,
        project=project,
        workspace=where.workspace,
        run=os.environ.get("SKEWLESS_RUN_ID", ""),
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    began = time.perf_counter()
    try:
        yield entry
        entry.status = "unchanged" if entry.unchanged else "done"
    finally:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1 if sys.platform == "darwin" else 1024
        entry.wall_s = round(time.perf_counter() - began, 3)
        entry.cpu_s = round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3)
        entry.peak_memory_bytes = max(own.ru_maxrss, children.ru_maxrss) * unit
        stamp = entry.started_at.replace(":", "").replace("+0000", "Z")
        with contextlib.suppress(OSError):  # a full disk must not hide the failure that it caused
            storage.write_json(where, where.own("ledger", f"{stamp}-{name}-{uuid.uuid4().hex[:6]}.json"), asdict(entry))


def entries(where: Storage, project: str | None = None) -> list[dict[str, Any]]:
    """The rows of a workspace, oldest first; of one project, if given."""
    rows = [storage.read_json(where, where.own("ledger", name)) for name in storage.names(where, where.own("ledger"))]
    return [row for row in rows if project is None or row["project"] == project]


def totals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums by step: runs, rows, bytes, wall and CPU seconds, cost; the largest peak memory."""
    by_step: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = by_step.setdefault(
            row["step"],
            {"step": row["step"], "runs": 0, "rows": 0, "bytes": 0, "wall_s": 0.0, "cpu_s": 0.0,
             "peak_memory_bytes": 0, "cost_usd": 0.0},
        )  # fmt: skip
        total["runs"] += 1
        for name in ("rows", "bytes", "wall_s", "cpu_s", "cost_usd"):
            total[name] += row[name]
        total["peak_memory_bytes"] = max(total["peak_memory_bytes"], row["peak_memory_bytes"])
    return list(by_step.values())
