"""The book-keeping and the scorecard of a build, read from the relations that every project has, in plain SQL."""

from dataclasses import dataclass
from typing import Any

from ml.warehouse import Connection, rows


@dataclass(frozen=True)
class RuleScore:
    """A rule over all loads: `broken` of `rows` raw rows, the load that it cost most, and how many loads are over its budget."""

    rule: str
    dimension: str
    action: str
    broken: int
    rows: int
    budget: float
    worst_share: float | None
    worst_load: str | None
    loads_over: int
    exempt_loads: int
    exemptions: str | None


def books(opened: Connection, project: str) -> dict[str, int] | None:
    """Raw, clean, quarantined and duplicate rows of a project, or None where it keeps no such relations."""
    if not all(opened.exists(f"{project}_{name}") for name in ("clean", "quarantine", "quality")):
        return None
    (counted,) = rows(
        opened,
        f"""select cast(coalesce(sum(row_count), 0) as bigint) as raw_count,
            cast(coalesce(sum(broken_count), 0) as bigint) as duplicate_count
        from {project}_quality where rule_name = 'duplicate'""",
    )
    raw, duplicates, clean = counted["raw_count"], counted["duplicate_count"], opened.count(f"{project}_clean")
    # That the rest are the quarantined rows is a test of the build, whose scan need not be repeated here.
    return {"raw": raw, "clean": clean, "quarantine": raw - clean - duplicates, "duplicates": duplicates}


def scorecard(opened: Connection, project: str) -> list[RuleScore] | None:
    """A row for each rule over all loads, the costliest first; None where the project was not built.

    A row holds the broken and all raw rows, the load with the largest share of broken ones (the first by its id of several), the
    number of loads over the budget, and the exemptions that loads were given.
    """
    if not opened.exists(f"{project}_quality"):
        return None
    columns = "raw_load_id, rule_name, dimension, action, row_count, broken_count, broken_share, budget, exemption, is_within_budget"
    loads = rows(opened, f"select {columns} from {project}_quality order by rule_name, raw_load_id")
    by_rule: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in loads:
        by_rule.setdefault((row["rule_name"], row["dimension"], row["action"]), []).append(row)
    card = [_over_all_loads(*rule, found) for rule, found in by_rule.items()]
    return sorted(card, key=lambda row: (-row.broken, row.rule))


def _over_all_loads(rule: str, dimension: str, action: str, loads: list[dict[str, Any]]) -> RuleScore:
    shares = [row for row in loads if row["broken_share"] is not None]
    worst = max(shares, key=lambda row: row["broken_share"]) if shares else None
    exempt = [row["exemption"] for row in loads if row["exemption"] is not None]
    return RuleScore(
        rule=rule,
        dimension=dimension,
        action=action,
        broken=sum(row["broken_count"] for row in loads),
        rows=sum(row["row_count"] for row in loads),
        budget=min(row["budget"] for row in loads),
        worst_share=worst["broken_share"] if worst else None,
        worst_load=worst["raw_load_id"] if worst else None,
        loads_over=sum(not row["is_within_budget"] for row in loads),
        exempt_loads=len(exempt),
        exemptions="; ".join(sorted(set(exempt))) or None,
    )
