"""The verbs from files to a snapshot."""

from __future__ import annotations

import difflib
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ml import records, storage
from ml.console import size, table
from ml.errors import UsageError
from ml.verbs.outcome import Context, Outcome, project_names, shown_path
from ml.verbs.verb import declare, flag, option

SOURCES = (
    "files, folders, globs, zips, .gz, .bz2, Parquet, http(s):// or s3://, recognised by their headers; "
    "what the project declares if left out"
)

if TYPE_CHECKING:  # only named: the quick verbs do not wait for numpy and DuckDB
    from ml.contract.meta import SimulateMeta
    from ml.profile.record import ColumnProfile, Profile
    from ml.quality import Truth


@declare(
    "files to raw Parquet: every column stays text, rejects are kept",
    "skewless ingest flights more.csv.gz",
    (
        option("source", help=SOURCES, nargs="*"),
        option("--simulate", help="invent this many rows of dirty files, and the truth about them", type=int, metavar="ROWS"),
        option("--seed", help="of the simulation: the same rows and seed give the same bytes", type=int, default=1),
        flag("--beside", help="keep a file as well as an earlier one of its name, instead of in its place"),
    ),
)
def ingest(context: Context) -> Outcome:
    from ml import ingest as ingesting
    from ml.simulate import stored

    given = context.arguments
    ingesting.ensure_empty_tables(context.where, context.checkout, project_names(context.checkout))
    sources, simulation = list(given.source), None
    if given.simulate is not None:
        if sources:
            raise UsageError("--simulate makes its own files", "leave out either the files or --simulate")
        simulation = _ordered(ingesting.declared_simulation(context.checkout, context.project), context.project, given.simulate, given.seed)
    elif not sources:
        known = ingesting.loads(context.where, context.checkout, context.project)
        simulation = ingesting.declared_simulation(context.checkout, context.project)
        if simulation is not None and known and not stored.is_outdated(context.where, context.project, simulation, known):
            return _kept(context, known)
    simulated = None
    if simulation is not None:
        simulated = stored.files(context.where, context.project, simulation, context.progress)
        sources = stored.sources(simulated)
    done = ingesting.ingest(context.where, context.checkout, context.project, sources, context.progress, given.beside)
    if simulated is not None:
        stored.remove_others(context.where, context.checkout, context.project, simulated)
    return _ingested(context, done)


def _ordered(declared: SimulateMeta | None, project: str, rows: int, seed: int) -> SimulateMeta:
    """The simulation that a project declares, with the rows and the seed of the command line."""
    if declared is None:
        raise UsageError(f"project {project} declares no simulator", "give files instead, or declare meta.ingest.simulate of a raw table")
    return replace(declared, rows=rows, seed=seed)


def _ingested(context: Context, done: Any) -> Outcome:
    rows, rejects, size_ = (sum(getattr(load, name) for load in done.loads) for name in ("rows", "rejects", "bytes"))
    tables, replaced = len({load.table for load in done.loads}), [load for load in done.loads if load.replaced]
    place = shown_path(context, f"raw/{context.project}")
    said = f"{rows:,} rows and {rejects:,} rejects of {len(done.loads)} files in {tables} raw tables, {size(size_)}, {place}"
    if replaced:
        said += f"; {len(replaced)} took the place of an earlier file of the same name ({', '.join(load.file for load in replaced[:3])})"
    if rejects:
        said += f"; the rejects, with their lines and reasons, are in {shown_path(context, f'raw/{context.project}/_rejects')}"
    if done.documents:
        said += f"; skipped, because they share no column with any table: {', '.join(done.documents[:5])}"
    shown: tuple[Any, ...] = ()
    if 1 < len(done.loads) <= 80 and any(not load.unchanged for load in done.loads):
        cells = [
            [load.file, load.table, f"{load.lines:,}", f"{load.rows:,}", f"{load.rejects:,}", size(load.bytes), _note(load)]
            for load in done.loads
        ]
        shown = (table(["file", "table", "lines", "rows", "rejects", "size", ""], cells, prose=True),)
    return Outcome(
        said,
        {"loads": [load.__dict__ for load in done.loads], "lines": sum(load.lines for load in done.loads), "rows": rows,
         "rejects": rejects, "documents": done.documents, "path": place},
        unchanged=all(load.unchanged for load in done.loads), rows=rows, bytes=size_, shown=shown,
    )  # fmt: skip


def _note(load: Any) -> str:
    return "known already" if load.unchanged else f"instead of {load.replaced}" if load.replaced else ""


def _kept(context: Context, known: list[Any]) -> Outcome:
    """Without sources, a project whose raw tables hold something keeps it: the simulation only replaces missing files."""
    rows, rejects = sum(load.rows for load in known), sum(load.rejects for load in known)
    place = shown_path(context, f"raw/{context.project}")
    return Outcome(
        f"{rows:,} rows and {rejects:,} rejects of {len(known)} files, {place}",
        {"loads": [load.__dict__ for load in known], "lines": rows + rejects, "rows": rows, "rejects": rejects, "path": place},
        unchanged=True, rows=rows,
    )  # fmt: skip


@declare(
    "the shape of a raw table: types, nulls, ranges, what looks wrong",
    "skewless profile flights weather",
    (option("table", help="a raw table; they are listed if left out", nargs="?"),),
)
def profile(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml import profile as profiling

    tables = {table.name: table for table in raw.raw_tables(context.checkout, context.project)}
    name = context.arguments.table
    if name is None:
        found = profiling.sizes(context.where, list(tables.values()))
        rows = [[entry.table, f"{entry.rows:,}", str(entry.columns), str(entry.files)] for entry in found]
        asked = f"; ask for one: skewless profile {context.project} {found[0].table}" if found else ""
        shown = (table(["raw table", "rows", "columns", "files"], rows),) if found else ()
        details = {"tables": [records.to_json(entry) for entry in found]}
        return Outcome(f"{len(found)} raw tables of {context.project}{asked}", details, unchanged=True, shown=shown)
    if name not in tables:
        near = difflib.get_close_matches(name, list(tables), 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(tables) or 'none'}"
        raise UsageError(f"{context.project} declares no raw table {name}", hint)
    record, key, unchanged = profiling.profile(context.where, tables[name], context.progress)
    place, columns = shown_path(context, key), record.columns
    count = sum(len(column.suspicions) for column in columns)
    return Outcome(
        f"{record.rows:,} rows, {len(columns)} columns, {count} suspicion{'' if count == 1 else 's'}, {place}",
        {**records.to_json(record), "path": place}, unchanged, rows=record.rows, shown=(profile_lines(record),),
    )  # fmt: skip


def profile_lines(record: Profile, width: int = 80) -> str:
    """A line a column, then the suspicions, within `width` characters."""
    columns = record.columns
    cells = [("column", "type", "nulls", "distinct", "min … median … max, or the most frequent")]
    for column in columns:
        share = column.nulls / column.rows
        nulls = "" if not column.nulls else "<0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
        cells.append((column.name, column.type, nulls, f"{column.distinct:,}", _values(column)))
    longest = min(max(len(row[0]) for row in cells), 27)
    kinds, counts = (max(len(row[place]) for row in cells) for place in (1, 3))
    lines = []
    for name, kind, nulls, distinct, values in cells:
        start = f"{_cut(name, longest):<{longest}}  {kind:<{kinds}}  {nulls:>7}  {distinct:>{counts}}  "
        lines.append((start + _cut(values, max(width - len(start), 8))).rstrip())
    lines.append("")
    for column in columns:
        for found in column.suspicions:
            lines += textwrap.wrap(f"{column.name}: {found.says}", width, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines).rstrip() + "\n"


def _values(column: ColumnProfile) -> str:
    numbers, moments = column.numbers, column.moments
    if column.type in ("integer", "double") and numbers:
        return " … ".join(f"{numbers[name]:.7g}" for name in ("min", "p50", "max"))
    if moments:
        return f"{moments.min.removesuffix(' 00:00:00')} … {moments.max.removesuffix(' 00:00:00')}"
    named = [(entry.value or repr(entry.value), entry.share) for entry in column.top]
    return ", ".join(f"{value} {share:.0%}" if share >= 0.005 else value for value, share in named)


def _cut(text: str, width: int) -> str:
    plain = "".join(character if character.isprintable() else "·" for character in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"


@declare("dbt build of the project, unless nothing has changed", "skewless build flights")
def build(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml.contract.declared import require_valid_files
    from ml.warehouse import open_warehouse, relations

    require_valid_files(context.checkout, context.project)
    warehouse = open_warehouse(context.where, context.checkout)
    raw.ensure_empty_tables(context.where, context.checkout, project_names(context.checkout))
    ids = raw.load_ids(context.where, context.checkout, context.project)
    built = warehouse.build(context.project, ids, context.progress)
    with warehouse.connection(f"skewless build {context.project}", context.progress) as opened:
        books = relations.books(opened, context.project)
    counted = ""
    if books:
        counted = (
            f"; {books['raw']:,} raw = {books['clean']:,} clean + {books['quarantine']:,} quarantined + {books['duplicates']:,} duplicates"
        )
    return Outcome(
        f"{built.nodes} dbt nodes green{f', {built.warnings} warned' if built.warnings else ''}{counted}",
        {"nodes": built.nodes, "warnings": built.warnings, "books": books, "invocation_id": built.invocation_id},
        unchanged=built.unchanged, rows=books["raw"] if books else 0,
        bytes=warehouse.size(),
    )  # fmt: skip


@declare("what the rules found, and on simulated files how much of the truth they see", "skewless quality taxi", ledger=False)
def quality(context: Context) -> Outcome:
    from ml import quality as scoring
    from ml.warehouse import open_warehouse

    warehouse = open_warehouse(context.where, context.checkout)
    judged, unchanged = scoring.quality(context.where, context.checkout, warehouse, context.project, context.progress)
    card, found = judged.scorecard, judged.truth
    over = [row.rule for row in card if row.loads_over]
    shown: list[Any] = [table(
        ["rule", "dimension", "action", "broken", "share", "budget", "worst load", "exempt"],
        [[row.rule, row.dimension, row.action, f"{row.broken:,}", f"{row.broken / max(row.rows, 1):.2%}",
          f"{row.budget:.1%}", f"{row.worst_share:.2%}", str(row.exempt_loads or "")] for row in card],
    )]  # fmt: skip
    shown += ["".join(f"\nexempt from {row.rule}: {row.exemptions}" for row in card if row.exempt_loads)]
    if found:
        shown += ["", truth_table(found), floor_lines(found)]
    dimensions = len({row.dimension for row in card})
    said = f"{len(card)} rules over {dimensions} dimensions, " + (f"over budget: {', '.join(over)}" if over else "all within their budgets")
    if found:
        seen = [row for row in found.defects if row.recall is not None]
        least = min((min(row.recall or 0.0, row.precision or 0.0) for row in seen), default=1.0)
        said += f"; of {len(seen)} kinds of planted dirt the worst precision or recall is {least:.3f}"
    details = {"scorecard": [records.to_json(row) for row in card], "truth": records.to_json(found) if found else None}
    return Outcome(said, details, unchanged=unchanged, shown=tuple(shown))


def truth_table(found: Truth) -> Any:
    rows = [
        [row.defect, f"{row.rows:,}", f"{row.share:.3%}", "" if row.precision is None else f"{row.precision:.4f}",
         "no rule can see it" if row.recall is None else f"{row.recall:.4f}", ", ".join(row.rules)]
        for row in found.defects if row.rows
    ]  # fmt: skip
    return table(["planted defect", "rows", "share", "precision", "recall", "rules that are for it"], rows, prose=True)


def floor_lines(found: Truth) -> str:
    lines = [
        f"{split}: RMSE {entry.rmse:.4f} over {entry.rows:,} rows, the simulator's noise {entry.floor_rmse:.4f}, {entry.above_floor:+.2%}"
        for split, entry in found.noise_floor.items()
        if entry.rmse is not None
    ]
    return "\n" + "\n".join(lines) if lines else ""


@declare("read the contract and refuse feature SQL that could not run online", "skewless check flights --json")
def check(context: Context) -> Outcome:
    from ml.contract.declared import require_valid_files
    from ml.contract.read import contract_of
    from ml.warehouse import open_warehouse

    require_valid_files(context.checkout, context.project)
    manifest = open_warehouse(context.where, context.checkout).compiled_manifest(context.project, context.progress)
    contract = contract_of(manifest, context.project)
    enforced = [rule.name for rule in contract.rules if rule.sql]
    return Outcome(
        f"{contract.task} of {contract.only('target')}: {len(contract.features)} features from {len(contract.inputs)} inputs and "
        f"{len(contract.lookups)} lookups; {len(enforced)} of {len(contract.rules)} rules are enforced on requests",
        {
            "task": contract.task,
            "target": contract.only("target"),
            "features": [column.name for column in contract.features],
            "inputs": [column.name for column in contract.inputs],
            "lookups": list(contract.lookups),
            "rules_on_requests": enforced,
            "example": contract.example(),
            "rules_in_the_warehouse_only": [rule.name for rule in contract.rules if not rule.sql],
        },
    )


@declare("freeze a green build: feature shards, lookups, contract, request rows", "skewless snapshot flights")
def snapshot(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml import snapshot as snapshots
    from ml.contract.read import contract_of
    from ml.warehouse import open_warehouse

    warehouse = open_warehouse(context.where, context.checkout)
    ids = raw.load_ids(context.where, context.checkout, context.project)
    manifest = warehouse.compiled_manifest(context.project, context.progress)
    contract = contract_of(manifest, context.project)
    taken = snapshots.take(context.where, warehouse, contract, manifest, ids, context.progress)
    counts = ", ".join(f"{count:,} {split}" for split, count in taken.counts.items())
    place = shown_path(context, taken.key)
    return Outcome(
        f"{taken.id}: {counts}, {place}",
        {"snapshot": taken.id, "counts": taken.counts, "path": place},
        unchanged=taken.unchanged, rows=sum(taken.counts.values()), bytes=storage.size(context.where, taken.key),
    )  # fmt: skip
