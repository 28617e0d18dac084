"""The ledger: one row for each step run, what it used and what it cost."""

import contextlib
import os
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ml import records, storage
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
            storage.write_json(where, where.own("ledger", f"{stamp}-{name}-{uuid.uuid4().hex[:6]}.json"), records.to_json(entry))


@dataclass(frozen=True)
class Total:
    """The sums over a step's runs; the peak memory is the largest."""

    step: str
    runs: int = 0
    rows: int = 0
    bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    cost_usd: float = 0.0


def entries(where: Storage, project: str | None = None) -> list[Entry]:
    """The rows of a workspace, oldest first; of one project, if given."""
    names = storage.names(where, where.own("ledger"))
    rows = [records.from_json(Entry, storage.read_json(where, where.own("ledger", name))) for name in names]
    return [row for row in rows if project is None or row.project == project]


def totals(rows: list[Entry]) -> list[Total]:
    """Sums by step."""
    by_step: dict[str, Total] = {}
    for row in rows:
        total = by_step.get(row.step, Total(row.step))
        by_step[row.step] = Total(
            step=row.step,
            runs=total.runs + 1,
            rows=total.rows + row.rows,
            bytes=total.bytes + row.bytes,
            wall_s=total.wall_s + row.wall_s,
            cpu_s=total.cpu_s + row.cpu_s,
            peak_memory_bytes=max(total.peak_memory_bytes, row.peak_memory_bytes),
            cost_usd=total.cost_usd + row.cost_usd,
        )
    return list(by_step.values())
