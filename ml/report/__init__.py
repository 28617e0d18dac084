"""The static page of a project: one HTML file, read from the file system, without a network."""

import html
import json
from datetime import UTC, datetime

from ml import provenance, records, storage
from ml.places import Places
from ml.report import data, life, model
from ml.report.page import render
from ml.report.sources import Sources, gather
from ml.storage import Storage
from ml.warehouse import Progress, Warehouse

__all__ = ["report"]
SECTIONS = (
    model.accuracy, model.answers, model.slices, model.features,
    data.quality, data.audit, data.advice, data.profiles, life.drift, life.versions, life.costs,
)  # fmt: skip


def report(where: Storage, warehouse: Warehouse, project: str, progress: Progress) -> tuple[str, list[str], bool]:
    """Write the page; its key, the titles of its sections, and whether it was stored already.

    Raises:
        GateError: where nothing has been evaluated yet.
    """
    found = gather(where, warehouse, project, progress)
    places = Places(where, project)
    key = places.site()
    # The ledger is left out: this step's own row would make every page a new one.
    known = {name: value for name, value in records.to_json(found).items() if name != "steps"}
    state = provenance.key("ml.report", sources=json.dumps(known, sort_keys=True, default=str))
    titles: list[str] = []
    sections = []
    if storage.exists(where, key) and storage.read_json(where, places.report()) == state:
        return key, titles, True
    for number, section in enumerate(SECTIONS):
        progress("drawing", number, len(SECTIONS))
        sections.append(section(found))
        titles.append(sections[-1].title)
    page = render(f"{project}: {found.metrics.target}", _lead(found), _tiles(found), sections)
    storage.write_file(where, key, lambda path: path.write_text(page))
    storage.write_json(where, places.report(), state)
    return key, titles, False


def _lead(found: Sources) -> str:
    target = next(column for column in found.contract.columns if column.role == "target")
    which = f"Champion {found.version.id}" if found.version else f"Run {found.metrics.run}, not packaged"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    said = f"{target.description} {which}, snapshot {found.metrics.snapshot}; this page was written at {now} UTC."
    return f"<p>{html.escape(said)}</p>"


def _tiles(found: Sources) -> list[tuple[str, str]]:
    metrics, tiles = found.metrics, []
    for split in metrics.splits:
        own = metrics.split(split)
        tiles.append((f"{own.error:.4g}", f"{metrics.metric} on {split}, 95 % {own.interval[0]:.3g} to {own.interval[1]:.3g}"))
    if metrics.test.coverage is not None:
        tiles.append((f"{metrics.test.coverage:.1%}", "of test inside its interval; 90 % asked"))
    if found.receipt:
        tiles.append((f"{found.receipt.rows:,}", "rows of the receipt: online equals warehouse"))
    if found.books:
        tiles.append((f"{found.books['raw']:,}", f"raw rows, {found.books['quarantine'] / max(found.books['raw'], 1):.1%} quarantined"))
    if found.served:
        tiles.append((f"{found.served['p50_ms']:g} ms", f"median request, {found.served['ratio_to_empty']:g} times an empty endpoint"))
    if found.drift:
        tiles.append(("drift" if found.drift.drifted else "no drift", f"in {found.drift.rows:,} rows"))
    return tiles
