"""The champion's reference against what it has answered since: windows, live error, and a verdict with its reasons.

`source` makes one table of what is judged, `whole` and `series` compare it with the reference, `finding` says what
moved, `outcomes` stores known truths, `live` measures the error, `page` is Evidently's.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ml import contract as contracts
from ml import provenance, records, storage
from ml.contract import Contract
from ml.drift import finding, live, outcomes, page, series, source, whole
from ml.drift.record import Record
from ml.drift.source import MIN_ROWS
from ml.errors import GateError, UsageError
from ml.places import Places
from ml.results import Metrics
from ml.storage import Storage

__all__ = ["MIN_ROWS", "Asked", "Findings", "drift"]
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Asked:
    """What to judge and how: with Evidently's page or without; out-of-time rows of the snapshot instead of the log; the
    unit of the windows, or None to choose one; a file of outcomes to keep first; the snapshot to replay, or None to choose it.
    """

    page: bool = True
    replay: bool = False
    window: str | None = None
    outcomes: Path | None = None
    snapshot: str | None = None


@dataclass(frozen=True)
class Findings:
    """The verdict with all that it rests on, its key and that of Evidently's page, and the id of the outcomes that were given."""

    drifted: bool
    record: Record
    key: str
    page: str | None
    unchanged: bool = False
    outcomes: str | None = None


def drift(where: Storage, project: str, bundle: Path, asked: Asked, progress: Progress) -> Findings:
    """Compare what the champion has answered with its reference sample, as a whole and window by window.

    It is drift when the newest complete window with MIN_ROWS rows has drifted, or the whole, or when the live error of either is
    above that on test beyond chance. An older window that drifted is shown in the series and does not decide the verdict.
    Thresholds are data: `meta.ml.drift` of the feature table, `drift` of a column.

    Raises:
        GateError: with fewer than MIN_ROWS rows to judge.
    """
    contract = contracts.load(bundle / "contract.json")
    if asked.replay and asked.outcomes:
        raise UsageError("a replay needs no outcomes: the snapshot holds the truth", "give --replay or --outcomes, not both")
    given = outcomes.keep(where, contract, asked.outcomes, progress) if asked.outcomes else None
    places = Places(where, project)
    log = storage.fetch(where, f"{places.predictions()}/{bundle.name}")
    frozen = source.replayable(where, project, bundle, asked.snapshot) if asked.replay else None
    kept = [] if frozen else outcomes.files(where, project)
    rows_state = frozen[0] if frozen else [source.log_state(log), [Path(path).name for path in kept]]
    state = provenance.key("ml.drift", bundle=bundle.name, rows=rows_state, window=asked.window)
    known = _known(places, state)
    if known is not None and (known.page or not asked.page):
        return Findings(known.drifted, known.record, known.key, known.page, unchanged=True, outcomes=given.id if given else None)
    with storage.scratch_folder(where) as scratch, source.connect(scratch) as opened:
        progress("reading the log", 0, 0)
        if frozen:
            judged = source.from_snapshot(opened, frozen, bundle, contract, progress)
        else:
            judged = source.from_log(opened, log, kept, contract)
        if judged.rows < MIN_ROWS:
            too_few = f"the champion {bundle.name} of {project} has logged {judged.rows} predictions; drift needs {MIN_ROWS}"
            hint = f"serve some: skewless serve {project}; or judge what is already known: skewless drift {project} --replay"
            if frozen:
                too_few = f"there are {judged.rows} {judged.name}; drift needs {MIN_ROWS}"
                hint = "set the cut in the vars of dbt_project.yml earlier, or ingest later data"
            raise GateError(too_few, hint)
        reference = pq.read_table(bundle / "reference.parquet")
        current = whole.sample(opened, contract, judged.rows)
        begun = Record(
            project=project,
            state=state,
            model_version=bundle.name,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            source=judged.kind,
            source_name=judged.name,
            rows=judged.rows,
            unreadable_lines=judged.unreadable,
            undated_rows=judged.undated,
            thresholds=contract.drift,
            rows_compared=current.num_rows,
            reference_rows=reference.num_rows,
            outcomes=() if frozen else tuple(outcomes.describe(opened, log, kept)),
        )
        record = _judge(begun, opened, where, contract, judged, reference, current, asked.window, bundle, progress)
    key = f"{places.drift()}/{record.at.replace(':', '').replace('+0000', 'Z')}-{state[:8]}"
    storage.write_json(where, f"{key}.json", records.to_json(record))
    shown = None
    if asked.page:
        progress("Evidently's page", 0, 0)
        storage.write_file(where, f"{key}.html", lambda path: page.write_page(contract, reference, current, path))
        shown = f"{key}.html"
    return Findings(record.drifted, record, f"{key}.json", shown, outcomes=given.id if given else None)


def _judge(
    begun: Record, opened: duckdb.DuckDBPyConnection, where: Storage, contract: Contract, judged: source.Source, reference: pa.Table,
    current: pa.Table, window: str | None, bundle: Path, progress: Progress,
) -> Record:  # fmt: skip
    """The record with everything about the rows: the whole, the windows, the newest of them, the live error, and what follows."""
    test = records.from_json(Metrics, json.loads((bundle / "metrics.json").read_text())).test
    progress("comparing", 0, 0)
    findings = whole.compare(contract, reference, current)
    verdict = finding.verdict(contract, findings)
    unit = window or series.choose_unit(opened)
    usual: dict[str, float] = {}
    count = series.count(opened, unit)
    if count > series.MAX_WINDOWS_ASKED:
        hint = f"choose longer ones, such as {series.choose_unit(opened)}"
        raise UsageError(f"these rows have {count:,} windows of one {unit}, more than {series.MAX_WINDOWS_ASKED}", hint)
    if count > 1 and source.add_training_rows(opened, where, bundle, contract, progress):
        usual = series.usual_scores(opened, contract, reference, unit)
    error, by_window = live.live(opened, contract, unit, test)
    windows = [replace(one, live=by_window.get(one.from_)) for one in series.windows(opened, contract, reference, unit, usual)]
    # A single window is the whole, whose distances are exact.
    newest = next((one for one in reversed(windows) if one.judged and one.complete), None) if len(windows) > 1 else None
    said = []
    if newest and newest.judged:
        what = f"the last whole {unit} (from {newest.from_.removesuffix('T00:00:00')}, {newest.rows:,} rows)"
        said.append(finding.sentence(contract, newest.judged, newest.findings, what))
    said.append(finding.sentence(contract, verdict, findings, f"{judged.rows:,} {judged.name}"))
    said += [error.says] if error else []
    if newest and newest.live:
        said.append(f"in that {unit} {newest.live.says}")
    worse = [about for about in (error, newest and newest.live) if about and about.against_test == "worse"]
    return replace(
        begun,
        drifted=verdict.drifted or bool(newest and newest.judged and newest.judged.drifted) or bool(worse),
        verdict="; ".join(said),
        share_drifted=verdict.share_drifted,
        findings=tuple(sorted(findings, key=lambda found: (found.role != "prediction", -found.score))),
        live=error,
        last=newest.from_ if newest else None,
        window=unit,
        usual_scores=usual,
        series=tuple(windows),
    )


def _known(places: Places, state: str) -> Findings | None:
    """The verdict that was given on the same rows, if any."""
    where = places.where
    names = storage.names(where, places.drift())
    stems = [name.removesuffix(".json") for name in names if name.endswith(f"-{state[:8]}.json")]
    for stem in reversed(stems):
        key = f"{places.drift()}/{stem}"
        record = storage.read_json(where, f"{key}.json")
        if record["state"] == state:
            known = records.from_json(Record, record)
            return Findings(known.drifted, known, f"{key}.json", f"{key}.html" if f"{stem}.html" in names else None)
    return None
