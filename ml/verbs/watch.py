"""The verbs that look at what has run."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import records, storage
from ml.console import size, table
from ml.errors import GateError
from ml.verbs.outcome import Context, Outcome, project_names, shown_path
from ml.verbs.verb import BUNDLE, NO_PAGE, SNAPSHOT, declare, flag, option
from ml.verbs.version import answering

if TYPE_CHECKING:  # only named: the quick verbs do not wait for numpy
    from ml.doctor.inspection import Check
    from ml.drift.record import Record


@declare(
    "compare what was predicted, window by window, with the reference sample",
    "skewless drift flights --outcomes truth.csv",
    (
        NO_PAGE,
        option("--window", help="the finest that makes sense, if left out", choices=("hour", "day", "week", "month")),
        flag("--replay", help="judge the snapshot's out-of-time rows by their own time, not the log"),
        option("--outcomes", help="CSV or Parquet: prediction_id and the target; kept, and the live error reported", metavar="FILE"),
        BUNDLE,
        SNAPSHOT,
    ),
)
def drift(context: Context) -> Outcome:
    from ml import drift as drifting

    given = context.arguments
    asked = drifting.Asked(not given.no_page, given.replay, given.window, Path(given.outcomes) if given.outcomes else None, given.snapshot)
    folder = answering(context)
    found = drifting.drift(context.where, context.project, folder, asked, context.progress)
    record = found.record
    shown: list[Any] = [_findings(record)]
    if len(record.series) > 1:
        shown += ["", _series(record)]
    if record.unreadable_lines:
        shown.append(f"{record.unreadable_lines:,} lines of the log cannot be read and were left out")
    given_file = next((about for about in record.outcomes if about.id == found.outcomes), None)
    if given_file:
        shown.append(drifting.outcomes.sentence(given_file))
    page = f"; page {shown_path(context, found.page)}" if found.page else ""
    return Outcome(
        f"{record.verdict}; record {shown_path(context, found.key)}{page}",
        {**records.to_json(record), "record": shown_path(context, found.key), "page": found.page and context.where.uri(found.page)},
        unchanged=found.unchanged,
        code=GateError.exit_code if found.drifted else 0,
        rows=record.rows,
        shown=tuple(shown),
    )


def _findings(record: Record) -> Any:
    """Every column against the reference; what moved comes first after the prediction."""
    rows = [
        [
            entry.name,
            f"{entry.score:.3f}",
            "" if not entry.drifted else "no vote" if entry.role == "ignored" else "moved",
            entry.says,
        ]
        for entry in record.findings
    ]
    return table(["column", "score", "", f"reference → {record.source}"], rows, prose=True)


def _series(record: Record) -> Any:
    """The windows, oldest first."""
    rows = []
    for one in record.series:
        cells = [one.from_.removesuffix("T00:00:00"), f"{one.rows:,}", f"{one.findings[0].mean_now:.4g}"]
        if record.live:
            live = one.live
            cells.append(f"{live.error:.4g}" + {"worse": " worse", "better": " better"}.get(live.against_test, "") if live else "")
        if one.judged:
            moved = [*(["predictions"] if one.judged.prediction_moved else []), *one.judged.moved]
            named = ", ".join(moved[:3]) + (f" and {len(moved) - 3} more" if len(moved) > 3 else "")
            cells.append(("drift: " if one.judged.drifted else "") + named)
        else:
            cells.append("too few rows to compare")
        rows.append(cells)
    error = "live rmse" if record.live and record.live.rmse is not None else "live log loss"
    headers = [record.window, "rows", "prediction", *([error] if record.live else []), "moved"]
    return table(headers, rows, prose=True)


@declare("write one page about the project: data, model, drift, cost", "skewless report flights")
def report(context: Context) -> Outcome:
    from ml import report as reporting
    from ml.warehouse import open_warehouse

    warehouse = open_warehouse(context.where, context.checkout)
    key, titles, unchanged = reporting.report(context.where, warehouse, context.project, context.progress)
    place = shown_path(context, key)
    sections = f"{len(titles)} sections, " if titles else ""
    return Outcome(
        f"{sections}{place}", {"path": context.where.uri(key), "sections": titles}, unchanged, bytes=storage.size(context.where, key)
    )


@declare("what each step used, summed from the ledger", "skewless cost flights", ledger=False)
def cost(context: Context) -> Outcome:
    from ml import ledger

    totals = ledger.totals(ledger.entries(context.where, context.project))
    rows = [
        [
            total.step,
            str(total.runs),
            f"{total.rows:,}",
            size(total.bytes) if total.bytes else "",
            f"{total.wall_s:.1f}",
            f"{total.cpu_s:.1f}",
            size(total.peak_memory_bytes),
            f"{total.cost_usd:.2f}",
        ]
        for total in totals
    ]
    spent = sum(total.cost_usd for total in totals)
    shown = table(["step", "runs", "rows", "bytes", "wall s", "CPU s", "peak memory", "USD"], rows)
    return Outcome(
        f"{sum(total.runs for total in totals)} step runs of {context.project}, {spent:.2f} USD paid to engines",
        {"steps": [records.to_json(total) for total in totals], "cost_usd": spent},
        shown=(shown,) if rows else (),
    )


@declare(
    "check the machine, the installation and what is stored; says what to do",
    "skewless doctor --deep",
    (flag("--deep", help="also read every raw file and hash every snapshot, run and bundle"),),
    ledger=False,
    project_optional=True,
)
def doctor(context: Context) -> Outcome:
    from ml import doctor as examination

    projects = [context.project] if context.project else project_names(context.checkout)
    checks = examination.examine(context.where, context.checkout, projects, context.arguments.deep, context.progress)
    counts = {status: sum(check.status == status for check in checks) for status in ("ok", "warn", "fail")}
    note = "" if context.arguments.deep else "; --deep also reads and hashes what is stored"
    return Outcome(
        f"{counts['ok']} checks ok, {counts['warn']} warn, {counts['fail']} fail{note}",
        {"checks": [records.to_json(check) for check in checks], "deep": context.arguments.deep, **counts},
        code=1 if counts["fail"] else 0,
        shown=(doctor_lines(checks),),
    )


def doctor_lines(checks: list[Check], width: int = 80) -> str:
    """A check a line, and what to do below those that are not ok."""
    longest, lines = max(len(check.name) for check in checks), []
    for check in checks:
        start = f"{check.status:<5} {check.name:<{longest}}  "
        parts = [check.says, *([f"do: {check.do}"] if check.do else [])]
        for place, text in enumerate(parts):
            first = start if place == 0 else " " * len(start)
            lines += textwrap.wrap(
                text, width, initial_indent=first, subsequent_indent=" " * len(start),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    return "\n".join(lines) + "\n"
