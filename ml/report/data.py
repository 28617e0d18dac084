"""The sections about the data: what came in, what was wrong with it, whether the splits are fair."""

from typing import Any

from ml.report import charts
from ml.report.page import Section, figure, pair, table, text
from ml.report.sources import Sources


def quality(found: Sources) -> Section:
    """The books and the scorecard."""
    parts = []
    if found.books:
        books = found.books
        kept = f"{books['clean']:,} clean, {books['quarantine']:,} quarantined, {books['duplicates']:,} duplicates"
        parts.append(text(f"{books['raw']:,} raw rows = {kept}. Nothing else happens to a row."))
    if found.quality:
        rows = [
            [
                rule["rule_name"].replace("_", " "), rule["dimension"], rule["action"], f"{rule['broken_count']:,}",
                f"{rule['worst_share']:.3%}", f"{rule['budget']:.3%}", "within" if rule["is_within_budget"] else "over budget",
            ]
            for rule in found.quality
        ]  # fmt: skip
        headers = ["rule", "dimension", "a row that breaks it", "rows", "worst load", "budget", ""]
        parts.append(table(headers, rows, (0, 1, 2), [not rule["is_within_budget"] for rule in found.quality]))
    body = "".join(parts) or text(f"Not built yet: run skewless build {found.contract.project}.", True)
    return Section("quality", "Quality", body)


def audit(found: Sources) -> Section:
    """Is what was held back like what was trained on?"""
    if not found.audit:
        return Section("audit", "Sample audit", text(f"The project has no relation {found.contract.project}_audit.", True))
    unfair = [row for row in found.audit if not row["is_fair"]]
    level = found.audit[0]["corrected_level"]
    verdict = f"{len(unfair)} of {len(found.audit)} comparisons lie beyond the corrected level of {level:.2g}: "
    verdict += (
        ", ".join(f"{row['column_name']} in {row['split']}" for row in unfair) if unfair else "the held-back splits are fair samples."
    )
    parts = []
    for split in dict.fromkeys(row["split"] for row in found.audit):
        rows = [row for row in found.audit if row["split"] == split and row["effect_size"] is not None]
        rows.sort(key=lambda row: -abs(row["effect_size"]))
        spans = [_span(row) for row in rows]
        chart = charts.intervals(
            [row["column_name"] for row in rows], [row["effect_size"] for row in rows], spans,
            "difference to train (standard deviations)", [not row["is_fair"] for row in rows],
        )  # fmt: skip
        parts.append(figure(f"{split}: {rows[0]['group_count']} groups", chart))
    note = "Groups are the units; an interval is 95 % before the correction, so one in twenty leaves 0 out by chance."
    return Section("audit", "Sample audit", text(verdict) + text(note, True) + pair(*parts))


def _span(row: dict[str, Any]) -> list[float] | None:
    """The effect with 1.96 standard errors either side; the error follows from the effect and its p-value's t."""
    t = row.get("t_statistic")
    if not t:
        return None
    error = abs(row["effect_size"] / t)
    return [row["effect_size"] - 1.96 * error, row["effect_size"] + 1.96 * error]


def profiles(found: Sources) -> Section:
    """Raw tables before any rule."""
    if not found.profiles:
        return Section("profile", "Raw tables", text(f"Not looked at yet: run skewless profile {found.contract.project} TABLE.", True))
    parts = []
    for profile in found.profiles:
        rows = []
        for column in profile["columns"]:
            middle = (column["numbers"] or {}).get("p50")
            top = column["top"][0] if column["top"] else None
            common = f"{top['value']} ({top['share']:.1%})" if top else ""
            rows.append([
                column["name"], column["type"], f"{column['nulls'] / max(column['rows'], 1):.2%}", f"{column['distinct']:,}",
                "" if middle is None else f"{middle:.4g}", common, "; ".join(entry["says"] for entry in column["suspicions"]),
            ])  # fmt: skip
        parts.append(f"<h3>{profile['table']}, {profile['rows']:,} rows</h3>")
        parts.append(table(["column", "reads as", "missing", "distinct", "median", "most common", "suspicious"], rows, (0, 1, 5, 6)))
    return Section("profile", "Raw tables", "".join(parts))
