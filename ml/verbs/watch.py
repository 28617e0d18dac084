"""The verbs that look at what has run."""

import textwrap
from typing import Any

from ml.console import size, table
from ml.errors import GateError
from ml.verbs.outcome import Context, Outcome, lies, project_names


def drift(context: Context) -> Outcome:
    from ml import drift as room
    from ml import registry

    folder = registry.champion_folder(context.where, context.project)
    found = room.drift(context.where, context.project, folder, not context.arguments.no_page, context.progress)
    rows = [
        [
            entry["name"],
            entry["role"],
            f"{entry['score']:.3f}",
            f"{entry['threshold']:g}",
            "moved" if entry["drifted"] else "",
            entry["says"],
        ]
        for entry in found.record["findings"]
    ]
    shown = table(["column", "role", "score", "threshold", "", "reference → log"], rows)
    page = f"; page {lies(context, found.page)}" if found.page else ""
    return Outcome(
        f"{found.record['verdict']}{page}",
        {**found.record, "page": found.page and context.where.uri(found.page)},
        unchanged=found.unchanged,
        code=GateError.exit_code if found.drifted else 0,
        rows=found.record["rows"],
        shown=(shown,),
    )


def report(context: Context) -> Outcome:
    from ml import report as room

    key, titles, unchanged = room.report(context.where, context.project, context.progress)
    place = lies(context, key)
    sections = f"{len(titles)} sections, " if titles else ""
    return Outcome(f"{sections}{place}", {"path": context.where.uri(key), "sections": titles}, unchanged=unchanged)


def cost(context: Context) -> Outcome:
    from ml import ledger

    totals = ledger.totals(ledger.entries(context.where, context.project))
    rows = [
        [
            total["step"],
            str(total["runs"]),
            f"{total['rows']:,}",
            f"{total['wall_s']:.1f}",
            f"{total['cpu_s']:.1f}",
            size(total["peak_memory_bytes"]),
            f"{total['cost_usd']:.2f}",
        ]
        for total in totals
    ]
    spent = sum(total["cost_usd"] for total in totals)
    shown = table(["step", "runs", "rows", "wall s", "CPU s", "peak memory", "USD"], rows)
    return Outcome(
        f"{sum(total['runs'] for total in totals)} step runs of {context.project}, {spent:.2f} USD paid to engines",
        {"steps": totals, "cost_usd": spent},
        shown=(shown,) if rows else (),
    )


def doctor(context: Context) -> Outcome:
    from ml import doctor as room

    projects = [context.project] if context.project else project_names(context.checkout)
    checks = room.examine(context.where, context.checkout, projects, context.arguments.deep, context.progress)
    counts = {status: sum(check.status == status for check in checks) for status in ("ok", "warn", "fail")}
    note = "" if context.arguments.deep else "; --deep also reads and hashes what is stored"
    return Outcome(
        f"{counts['ok']} checks ok, {counts['warn']} warn, {counts['fail']} fail{note}",
        {"checks": [check.__dict__ for check in checks], "deep": context.arguments.deep, **counts},
        code=1 if counts["fail"] else 0,
        shown=(doctor_lines(checks),),
    )


def doctor_lines(checks: list[Any], width: int = 80) -> str:
    """A check a line, and what to do below those that want it."""
    longest, lines = max(len(check.name) for check in checks), []
    for check in checks:
        start = f"{check.status:<5} {check.name:<{longest}}  "
        told = [check.says, *([f"do: {check.do}"] if check.do else [])]
        for place, text in enumerate(told):
            first = start if place == 0 else " " * len(start)
            lines += textwrap.wrap(
                text, width, initial_indent=first, subsequent_indent=" " * len(start),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    return "\n".join(lines) + "\n"
