"""The verbs that look at what has run."""

from ml.console import size, table
from ml.errors import GateError
from ml.verbs.outcome import Context, Outcome, lies


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
