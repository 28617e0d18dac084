"""What the page is made of: the records that the steps left in the workspace, and the project's own relations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml import contract as contracts
from ml import ledger, registry, storage
from ml.bundle import verify
from ml.contract import Contract
from ml.errors import GateError
from ml.storage import Storage
from ml.warehouse import Progress, Warehouse, rows
from ml.warehouse.relations import books, scorecard

AUDIT_COLUMNS = (
    "column_name, split, row_count, group_count, train_mean, split_mean, effect_size, t_statistic, p_value, corrected_level, is_fair"
)


@dataclass(frozen=True)
class Sources:
    """Everything known of a project; what was not run yet is None or empty."""

    contract: Contract
    metrics: dict[str, Any]
    version: dict[str, Any] | None = None
    receipt: dict[str, Any] | None = None
    answers: Path | None = None
    ablation: dict[str, Any] | None = None
    curve: dict[str, Any] | None = None
    books: dict[str, int] | None = None
    quality: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    advice: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[str, Any] | None = None
    profiles: list[dict[str, Any]] = field(default_factory=list)
    drift: dict[str, Any] | None = None
    served: dict[str, Any] | None = None
    versions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


def gather(where: Storage, warehouse: Warehouse, project: str, progress: Progress) -> Sources:
    """Read it all: of the champion, or of the current run where there is no champion.

    Raises:
        GateError: where nothing has been evaluated yet.
    """
    version = receipt = None
    if registry.champion(where, project):
        folder = registry.champion_folder(where, project)
        version, receipt = verify(folder), storage.read_local_json(folder / "receipt.json")
        metrics, contract = storage.read_local_json(folder / "metrics.json"), contracts.load(folder / "contract.json")
    else:
        pointer = storage.read_json(where, where.own(project, "run.json"))
        metrics = storage.read_json(where, where.own(project, "runs", f"{pointer['id']}.metrics.json")) if pointer else None
        if metrics is None:
            raise GateError(f"project {project} has nothing to report in workspace {where.workspace}", f"run: skewless run {project}")
        contract = contracts.load(storage.fetch(where, where.own(project, "snapshots", metrics["snapshot"], "contract.json")))
    run = metrics["run"]
    answers = where.own(project, "runs", f"{run}.answers.parquet")
    relations, balance = _relations(warehouse, project, progress)
    return Sources(
        contract=contract,
        metrics=metrics,
        version=version,
        receipt=receipt,
        answers=storage.fetch(where, answers) if storage.exists(where, answers) else None,
        ablation=storage.read_json(where, where.own(project, "runs", f"{run}.ablation.json")),
        curve=storage.read_json(where, where.own(project, "curve.json")),
        books=balance,
        quality=relations.get("quality", []),
        audit=relations.get("audit", []),
        advice=relations.get("sample_advice", []),
        truth=storage.read_json(where, where.own(project, "truth.json")),
        profiles=_all(where, where.own(project, "profiles")),
        drift=_last(where, where.own(project, "drift"), version["id"] if version else None),
        served=_last(where, where.own(project, "rehearsals"), version["id"] if version else None),
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


def _judged(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the scorecard with the names that the page uses."""
    kept = {name: row[name] for name in ("dimension", "action", "worst_share", "budget", "exempt_loads", "exemptions")}
    return {
        **kept,
        "rule_name": row["rule"],
        "broken_count": row["broken"],
        "row_count": row["rows"],
        "is_within_budget": not row["loads_over"],
    }


def _all(where: Storage, key: str) -> list[dict[str, Any]]:
    return [storage.read_json(where, f"{key}/{name}") for name in storage.names(where, key) if name.endswith(".json")]


def _last(where: Storage, key: str, version: str | None) -> dict[str, Any] | None:
    """The newest record of a version."""
    found = [record for record in _all(where, key) if record.get("model_version") == version]
    return max(found, key=lambda record: str(record.get("at", ""))) if found else None
