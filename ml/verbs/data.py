"""The verbs from files to a snapshot."""

from pathlib import Path

from ml.verbs.outcome import Context, Outcome, lies, project_names


def ingest(context: Context) -> Outcome:
    from ml import ingest as room

    room.ensure_empty_tables(context.where, context.checkout, project_names(context.checkout))
    sources = [Path(source) for source in context.arguments.source]
    loads = room.ingest(context.where, context.checkout, context.project, sources, context.progress)
    rows, rejects = sum(load.rows for load in loads), sum(load.rejects for load in loads)
    tables = len({load.table for load in loads})
    place = lies(context, f"raw/{context.project}")
    return Outcome(
        f"{rows:,} rows and {rejects:,} rejects of {len(loads)} files in {tables} raw tables, {place}",
        {"loads": [load.__dict__ for load in loads], "rows": rows, "rejects": rejects, "path": place},
        unchanged=all(load.unchanged for load in loads), rows=rows, bytes=sum(load.bytes for load in loads),
    )  # fmt: skip


def build(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml import warehouse

    raw.ensure_empty_tables(context.where, context.checkout, project_names(context.checkout))
    ids = raw.load_ids(context.where, context.checkout, context.project)
    built = warehouse.build(context.where, context.checkout, context.project, ids, context.progress)
    books = warehouse.books(context.where, context.project, context.progress)
    counted = ""
    if books:
        counted = (
            f"; {books['raw']:,} raw = {books['clean']:,} clean + {books['quarantine']:,} quarantined + {books['duplicates']:,} duplicates"
        )
    return Outcome(
        f"{built.nodes} dbt nodes green{f', {built.warnings} warned' if built.warnings else ''}{counted}",
        {"nodes": built.nodes, "warnings": built.warnings, "books": books, "invocation_id": built.invocation_id},
        unchanged=built.unchanged, rows=books["raw"] if books else 0,
    )  # fmt: skip


def check(context: Context) -> Outcome:
    from ml import snapshot

    contract, _ = snapshot.read_contract(context.where, context.checkout, context.project, context.progress)
    door = [rule.name for rule in contract.rules if rule.sql]
    return Outcome(
        f"{contract.task} of {contract.only('target')}: {len(contract.features)} features from {len(contract.inputs)} inputs and "
        f"{len(contract.lookups)} lookups; {len(door)} of {len(contract.rules)} rules hold at the door",
        {
            "task": contract.task,
            "target": contract.only("target"),
            "features": [column.name for column in contract.features],
            "inputs": [column.name for column in contract.inputs],
            "lookups": list(contract.lookups),
            "rules_at_the_door": door,
            "example": contract.example(),
            "rules_in_the_warehouse_only": [rule.name for rule in contract.rules if not rule.sql],
        },
    )


def snapshot(context: Context) -> Outcome:
    from ml import ingest as raw
    from ml import snapshot as room

    ids = raw.load_ids(context.where, context.checkout, context.project)
    taken = room.take(context.where, context.checkout, context.project, ids, context.progress)
    counts = ", ".join(f"{count:,} {split}" for split, count in taken.counts.items())
    place = lies(context, taken.key)
    return Outcome(
        f"{taken.id}: {counts}, {place}",
        {"snapshot": taken.id, "counts": taken.counts, "path": place},
        unchanged=taken.unchanged, rows=sum(taken.counts.values()),
    )  # fmt: skip
