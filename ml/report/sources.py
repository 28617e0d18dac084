"""What the page is made of: the records that the steps left in the workspace, and the project's own relations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml import contract as contracts
from ml import ledger, registry, storage, warehouse
from ml.bundle import About, receipt, verify
from ml.bundle.receipt import Receipt
from ml.contract import Contract
from ml.errors import GateError
from ml.places import Places
from ml.storage import Storage
from ml.warehouse import Progress

AUDIT_COLUMNS = (
    "column_name, split, row_count, group_count, train_mean, split_mean, effect_size, t_statistic, p_value, corrected_level, is_fair"
)


@dataclass(frozen=True)
class Sources:
    """Everything known of a project; what was not run yet is None or empty."""

    contract: Contract
    metrics: dict[str, Any]
    version: About | None = None
    receipt: Receipt | None = None
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


def gather(where: Storage, project: str, progress: Progress) -> Sources:
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
        metrics, contract = storage.read_local_json(folder / "metrics.json"), contracts.load(folder / "contract.json")
    else:
        pointer = storage.read_json(where, places.pointer("run"))
        metrics = storage.read_json(where, places.metrics(pointer["id"])) if pointer else None
        if metrics is None:
            raise GateError(f"project {project} has nothing to report in workspace {where.workspace}", f"run: skewless run {project}")
        contract = contracts.load(storage.fetch(where, f"{places.snapshot(metrics['snapshot'])}/contract.json"))
    run = metrics["run"]
    answers = places.answers(run)
    relations = _relations(where, project, progress)
    return Sources(
        contract=contract,
        metrics=metrics,
        version=version,
        receipt=certified,
        answers=storage.fetch(where, answers) if storage.exists(where, answers) else None,
        ablation=storage.read_json(where, places.ablation(run)),
        curve=storage.read_json(where, places.curve()),
        books=warehouse.books(where, project, progress) if relations else None,
        quality=relations.get("quality", []),
        audit=relations.get("audit", []),
        advice=relations.get("sample_advice", []),
        truth=storage.read_json(where, places.truth()),
        profiles=_all(where, places.profiles()),
        drift=_last(where, places.drift(), version.id if version else None),
        served=_last(where, places.smoke_tests(), version.id if version else None),
        versions=registry.versions(where, project) if version else [],
        steps=ledger.totals(ledger.entries(where, project)),
    )


def _relations(where: Storage, project: str, progress: Progress) -> dict[str, list[dict[str, Any]]]:
    """The scorecard and the audit as the warehouse now has them; small tables by design."""
    found: dict[str, list[dict[str, Any]]] = {}
    if not storage.exists(where, where.own("warehouse.duckdb")):
        return found
    scorecard = f"""
        select dimension, rule_name, action, sum(row_count)::bigint as row_count, sum(broken_count)::bigint as broken_count,
            max(broken_share) as worst_share, min(budget) as budget, bool_and(is_within_budget) as is_within_budget,
            count(exemption) as exempt_loads, string_agg(distinct exemption, '; ') as exemptions
        from {project}_quality group by all order by dimension, rule_name"""
    queries = {
        "quality": scorecard,
        "audit": f"select {AUDIT_COLUMNS} from {project}_audit order by p_value",
        "sample_advice": f"select * from {project}_sample_advice order by column_name, sample_rows",
    }
    with warehouse.connection(where, f"skewless report {project}", progress) as opened:
        tables = {name for (name,) in opened.execute("select table_name from information_schema.tables").fetchall()}
        for name, sql in queries.items():
            if f"{project}_{name}" in tables:
                found[name] = opened.execute(sql).to_arrow_table().to_pylist()
    return found


def _all(where: Storage, key: str) -> list[dict[str, Any]]:
    return [storage.read_json(where, f"{key}/{name}") for name in storage.names(where, key) if name.endswith(".json")]


def _last(where: Storage, key: str, version: str | None) -> dict[str, Any] | None:
    """The newest record of a version."""
    found = [record for record in _all(where, key) if record.get("model_version") == version]
    return max(found, key=lambda record: str(record.get("at", ""))) if found else None
