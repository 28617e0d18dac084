"""The sections about the data: what came in, what was wrong with it, whether the splits are fair."""

from typing import Any

from ml.quality import Truth
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
                f"{rule['worst_share']:.3%}", f"{rule['budget']:.3%}", _within(rule),
            ]
            for rule in found.quality
        ]  # fmt: skip
        headers = ["rule", "dimension", "a row that breaks it", "rows", "worst load", "budget", ""]
        parts.append(table(headers, rows, (0, 1, 2), [not rule["is_within_budget"] for rule in found.quality]))
        parts += [text(f"Exempt from {rule['rule_name']}: {rule['exemptions']}.", True) for rule in found.quality if rule["exempt_loads"]]
    if found.truth:
        parts += _truth(found.truth)
    body = "".join(parts) or text(f"Not built yet: run skewless build {found.contract.project}.", True)
    return Section("quality", "Quality", body)


def _within(rule: dict[str, Any]) -> str:
    if not rule["is_within_budget"]:
        return "over budget"
    return f"{rule['exempt_loads']} exempt" if rule["exempt_loads"] else "within"


def _truth(truth: Truth) -> list[str]:
    """What was planted in simulated files, and how much of it the rules find."""
    planted = [entry for entry in truth.defects if entry.rows]
    rows = [
        [
            entry.defect.replace("_", " "), f"{entry.rows:,}", f"{entry.share:.3%}",
            "" if entry.precision is None else f"{entry.precision:.4f}",
            "no rule can see it" if entry.recall is None else f"{entry.recall:.4f}", ", ".join(entry.rules),
        ]
        for entry in planted
    ]  # fmt: skip
    bad = [entry.recall is None for entry in planted]
    said = f"The files are simulated ({truth.simulation}), so what is wrong with them is known. Precision: of the rows that the "
    said += "rules for a defect mark, those that have it. Recall: of the rows that have it, those that they mark."
    return ["<h3>Planted dirt</h3>", text(said), table(["planted", "rows", "share", "precision", "recall", "by"], rows, (0, 5), bad)]


def advice(found: Sources) -> Section:
    """How many rows are enough to know the means."""
    if not found.advice:
        return Section("sample-size", "Sample size", text(f"The project has no relation {found.contract.project}_sample_advice.", True))
    columns: dict[str, list[dict[str, Any]]] = {}
    for row in found.advice:
        columns.setdefault(row["column_name"], []).append(row)
    target, gain = found.contract.only("target"), found.advice[0]["stated_gain"]
    hardest = max((name for name in columns if name != target), key=lambda name: columns[name][-1]["relative_error"] or 0.0)
    known = columns[target]
    errors = {name: {row["sample_rows"]: row["relative_error"] for row in columns[name]} for name in (target, hardest)}
    places = [row["sample_rows"] for row in known]
    nearest = [min(errors[hardest], key=lambda rows, place=place: abs(rows - place)) for place in places]  # type: ignore[misc]
    series = {target: [errors[target][place] for place in places], hardest: [errors[hardest][rows] for rows in nearest]}
    chart = charts.lines(places, series, "rows of the nested sample", "standard error of the mean (sd)", log_x=True)
    rows = [
        [name, f"{entries[-1]['advised_rows']:,}" if entries[-1]["advised_rows"] else "more than there are",
         f"{entries[-1]['sample_rows']:,}", f"{entries[-1]['relative_error']:.4f}"]
        for name, entries in sorted(columns.items()) if entries[-1]["relative_error"] is not None
    ]  # fmt: skip
    said = f"Beyond the rows named here, twice the sample takes less than {gain:g} standard deviations off the standard error "
    said += "of a column's mean."
    headers = ["column", "enough rows", "train rows", "their error (sd)"]
    return Section(
        "sample-size", "Sample size", text(said) + figure(f"{target} and the hardest feature", chart) + table(headers, rows, (0,))
    )


def audit(found: Sources) -> Section:
    """Whether the held-back splits are like the train split."""
    if not found.audit:
        return Section("audit", "Sample audit", text(f"The project has no relation {found.contract.project}_audit.", True))
    unfair = [row for row in found.audit if not row["is_fair"]]
    level = found.audit[0]["corrected_level"]
    verdict = f"{len(unfair)} of {len(found.audit)} comparisons are beyond the corrected level of {level:.2g}: "
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
        for column in profile.columns:
            middle = (column.numbers or {}).get("p50")
            common = f"{column.top[0].value} ({column.top[0].share:.1%})" if column.top else ""
            rows.append([
                column.name, column.type, f"{column.nulls / max(column.rows, 1):.2%}", f"{column.distinct:,}",
                "" if middle is None else f"{middle:.4g}", common, "; ".join(entry.says for entry in column.suspicions),
            ])  # fmt: skip
        parts.append(f"<h3>{profile.table}, {profile.rows:,} rows</h3>")
        parts.append(table(["column", "reads as", "missing", "distinct", "median", "most common", "suspicious"], rows, (0, 1, 5, 6)))
    return Section("profile", "Raw tables", "".join(parts))
