"""What the page is made of: the records that the steps left in the workspace, and the project's own relations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ml import contract as contracts
from ml import ledger, records, registry, storage
from ml.bundle import About, receipt, verify
from ml.bundle.receipt import Receipt
from ml.contract import Contract
from ml.drift.record import Record
from ml.errors import GateError, SkewlessError
from ml.ledger import Total
from ml.places import Places
from ml.profile.record import Profile
from ml.quality import Quality, Truth
from ml.results import Ablation, Curve, Metrics
from ml.storage import Storage
from ml.warehouse import Progress, Warehouse, rows
from ml.warehouse.relations import RuleScore, books, scorecard

T = TypeVar("T")
AUDIT_COLUMNS = (
    "column_name, split, row_count, group_count, train_mean, split_mean, effect_size, t_statistic, p_value, corrected_level, is_fair"
)


@dataclass(frozen=True)
class Sources:
    """Everything known of a project; what was not run yet is None or empty."""

    contract: Contract
    metrics: Metrics
    version: About | None = None
    receipt: Receipt | None = None
    answers: Path | None = None
    ablation: Ablation | None = None
    curve: Curve | None = None
    books: dict[str, int] | None = None
    quality: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    advice: list[dict[str, Any]] = field(default_factory=list)
    truth: Truth | None = None
    profiles: list[Profile] = field(default_factory=list)
    drift: Record | None = None
    served: dict[str, Any] | None = None
    versions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Total] = field(default_factory=list)


def gather(where: Storage, warehouse: Warehouse, project: str, progress: Progress) -> Sources:
    """Read it all: of the champion, or of the current run where there is no champion.

    Raises:
        GateError: where nothing has been evaluated yet.
    """
    places = Places(where, project)
    version = certified = None
    if registry.champion(where, project):
        folder = registry.champion_folder(where, project)
        version = verify(folder)
        certified = receipt.stored(places, version.id)
        metrics = records.from_json(Metrics, storage.read_local_json(folder / "metrics.json"))
        contract = contracts.load(folder / "contract.json")
    else:
        pointer = storage.read_json(where, places.pointer("run"))
        known = storage.read_json(where, places.metrics(pointer["id"])) if pointer else None
        if known is None:
            raise GateError(f"project {project} has nothing to report in workspace {where.workspace}", f"run: skewless run {project}")
        metrics = records.from_json(Metrics, known)
        contract = contracts.load(storage.fetch(where, f"{places.snapshot(metrics.snapshot)}/contract.json"))
    run = metrics.run
    answers = places.answers(run)
    relations, balance = _relations(warehouse, project, progress)
    return Sources(
        contract=contract,
        metrics=metrics,
        version=version,
        receipt=certified,
        answers=storage.fetch(where, answers) if storage.exists(where, answers) else None,
        ablation=_read(Ablation, storage.read_json(where, places.ablation(run))),
        curve=_read(Curve, storage.read_json(where, places.curve())),
        books=balance,
        quality=relations.get("quality", []),
        audit=relations.get("audit", []),
        advice=relations.get("sample_advice", []),
        truth=judged.truth if (judged := _read(Quality, storage.read_json(where, places.quality()))) else None,
        profiles=[one for value in _all(where, places.profiles()) if (one := _read(Profile, value))],
        drift=_read(Record, _last(where, places.drift(), version.id if version else None)),
        served=_last(where, places.smoke_tests(), version.id if version else None),
        versions=registry.versions(where, project) if version else [],
        steps=ledger.totals(ledger.entries(where, project)),
    )


def _relations(warehouse: Warehouse, project: str, progress: Progress) -> tuple[dict[str, list[dict[str, Any]]], dict[str, int] | None]:
    """The scorecard, the audit and the advice as the warehouse now has them, small tables by design; and the books."""
    found: dict[str, list[dict[str, Any]]] = {}
    if not warehouse.is_stored():
        return found, None
    queries = {
        "audit": f"select {AUDIT_COLUMNS} from {project}_audit order by p_value",
        "sample_advice": f"select * from {project}_sample_advice order by column_name, sample_rows",
    }
    with warehouse.connection(f"skewless report {project}", progress) as opened:
        if card := scorecard(opened, project):
            found["quality"] = sorted(map(_judged, card), key=lambda row: (row["dimension"], row["rule_name"]))
        for name, sql in queries.items():
            if opened.exists(f"{project}_{name}"):
                found[name] = rows(opened, sql)
        return found, books(opened, project)


def _judged(row: RuleScore) -> dict[str, Any]:
    """A row of the scorecard with the names that the page uses."""
    kept = {name: getattr(row, name) for name in ("dimension", "action", "worst_share", "budget", "exempt_loads", "exemptions")}
    return {
        **kept,
        "rule_name": row.rule,
        "broken_count": row.broken,
        "row_count": row.rows,
        "is_within_budget": not row.loads_over,
    }


def _read(kind: type[T], value: Any) -> T | None:
    """A record; None where there is none, or where other code wrote it: then its step is run again."""
    try:
        return None if value is None else records.from_json(kind, value)
    except SkewlessError:
        return None


def _all(where: Storage, key: str) -> list[dict[str, Any]]:
    return [storage.read_json(where, f"{key}/{name}") for name in storage.names(where, key) if name.endswith(".json")]


def _last(where: Storage, key: str, version: str | None) -> dict[str, Any] | None:
    """The newest record of a version."""
    found = [record for record in _all(where, key) if record.get("model_version") == version]
    return max(found, key=lambda record: str(record.get("at", ""))) if found else None
