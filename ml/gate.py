"""The promotion gate: a challenger and the champion answer the same test rows, and their errors are compared, paired by group."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import answers, bundle, dataset, predictor, provenance, records, storage
from ml.answers import Answered
from ml.bundle import Bundle, receipt
from ml.bundle.receipt import REQUEST_ROWS
from ml.errors import GateError, SkewlessError
from ml.metrics import Difference, answers_of, difference, loss, metric_name, summary
from ml.online.parse import request_row
from ml.places import Places
from ml.results import Comparison

MAX_WORSE = 0.02  # of the champion's error, in the point estimate
Progress = Callable[[str, float, float], None]
Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # truth, challenger's answer, champion's answer, group


def compare(places: Places, challenger: Path, champion: Path, progress: Progress) -> Comparison:
    """The errors of both bundles on the test rows of the challenger's snapshot, their difference, and whether it may be promoted.

    Splits are hashes, so no version was trained on them. Bundles of one snapshot answer all its test rows; otherwise each answers
    the frozen request rows of test from its own SQL and lookups, and rows that one of the two refuses are left out for both.

    A champion that this code cannot load protects nothing: it is replaced, and the record says why.

    Raises:
        GateError: when nothing can be compared: another target, a snapshot that is gone, no row that both answer.
    """
    where = places.where
    code = provenance.key("ml.gate", challenger=challenger.name, champion=champion.name)
    key = places.comparison(challenger.name, champion.name)
    known = storage.read_json(where, key)
    if known and known.get("code") == code:
        return records.from_json(Comparison, known)
    new = receipt.load(places, challenger)
    try:
        old = bundle.open_verified(champion)  # of other code perhaps, so it needs no receipt of this one
    except (SkewlessError, RuntimeError, TypeError, ValueError, KeyError, OSError) as error:
        # Damaged, or of another network than that of this code: no service could start with it either.
        says = f"the champion {champion.name} cannot be loaded by this code, so nothing was compared: {str(error).splitlines()[0]}"
        return Comparison(new.id, champion.name, True, says, "champion not loadable", "")
    contract = new.contract
    if (contract.task, contract.only("target")) != (old.contract.task, old.contract.only("target")):
        raise _cannot(challenger, champion, f"one answers {contract.only('target')} and the other {old.contract.only('target')}")
    snapshots = [bundle.about(opened.folder).snapshot for opened in (new, old)]
    frozen = storage.fetch(where, places.snapshot(snapshots[0]))
    if not (frozen / "snapshot.json").exists():
        raise _cannot(challenger, champion, f"snapshot {snapshots[0]} is gone")
    rows = shard_rows if snapshots[0] == snapshots[1] else request_rows
    asked = list(rows(new, old, frozen, progress))
    left_out = sum(refused for _, refused in asked)
    if not any(len(part[0]) for part, _ in asked):
        raise _cannot(challenger, champion, f"no test row is left; one of the two refuses {left_out:,}")
    truth, own, other, names = (np.concatenate(column) for column in zip(*(part for part, _ in asked), strict=True))
    both = answers_of(truth, own, names), answers_of(truth, other, names)
    errors = [float(summary(loss(answers, contract.task).mean(), contract.task)) for answers in both]
    gap = difference(*both, contract.task)
    undecided = Comparison(
        challenger=new.id,
        champion=old.id,
        ok=False,
        says="",
        short="",
        why="",
        code=code,
        metric=metric_name(contract.task),
        challenger_error=errors[0],
        champion_error=errors[1],
        difference=gap,
        snapshot=snapshots[0],
        asked="all rows of the test split" if rows is shard_rows else "the frozen request rows of the test split",
        rows=len(truth),
        left_out=left_out,
        groups=both[0].groups,
        group=contract.only("group"),
    )
    found = judged(undecided, errors[0], errors[1], gap)
    storage.write_json(where, key, records.to_json(found))
    return found


def judged(found: Comparison, challenger: float, champion: float, gap: Difference) -> Comparison:
    """The comparison with its verdict: not worse beyond doubt, nor by more than a share of the champion's error."""
    low, high = gap.interval
    short = f"{gap.point:+.3g} [{low:+.3g}, {high:+.3g}]"
    says = (
        f"{found.metric} {challenger:.4g} against the champion's {champion:.4g}, {short}, "
        f"on {found.rows:,} test rows in {found.groups} groups by {found.group}"
    )
    says += f"; {found.left_out:,} rows that one of the two refuses are left out" if found.left_out else ""
    share = gap.point / champion if champion else float(np.inf if gap.point > 0 else 0)
    why = "beyond doubt" if low > 0 else f"by {share:.1%} of the champion's error, more than {MAX_WORSE:.0%}" if share > MAX_WORSE else ""
    return replace(found, ok=not why, says=says, short=short, why=why)


def _cannot(challenger: Path, champion: Path, why: str) -> GateError:
    return GateError(
        f"{challenger.name} cannot be compared with the champion {champion.name}: {why}", "promote with --force, and the record says so"
    )


def shard_rows(new: Bundle, old: Bundle, frozen: Path, progress: Progress) -> Iterator[tuple[Part, int]]:
    """The test shards: their features are those that either bundle computes online, as the receipts say."""
    total, done = dataset.count_rows(frozen, "test"), 0
    for batch in dataset.record_batches(frozen, "test"):
        own, other = (predictor.predict(opened.model, batch).prediction for opened in (new, old))
        truth = dataset.target_values(batch, new.contract.only("target"))
        yield (truth, own, other, _texts(batch[new.contract.only("group")])), 0
        done += batch.num_rows
        progress("comparing with the champion", done, total)


def request_rows(new: Bundle, old: Bundle, frozen: Path, progress: Progress) -> Iterator[tuple[Part, int]]:
    """The frozen request rows of test through the request path of each bundle; a row that one of them refuses is left out."""
    contract = new.contract
    requests, features = pq.read_table(frozen / "requests.parquet"), pq.read_table(frozen / "expected.parquet")
    requests = requests.append_column("the group", features[contract.only("group")])  # the two have one order, as the receipt demands
    requests = requests.filter(pc.field(contract.only("split")) == "test")
    for start in range(0, requests.num_rows, REQUEST_ROWS):
        part = requests.slice(start, REQUEST_ROWS)
        answered = [_answered(opened, part) for opened in (new, old)]
        kept = np.intersect1d(answered[0].rows, answered[1].rows)
        predicted = [one.predictions.prediction[np.searchsorted(one.rows, kept)] for one in answered]
        truth = pc.cast(part[contract.only("target")], pa.float64()).to_numpy()[kept]
        yield (truth, *predicted, _texts(part["the group"])[kept]), part.num_rows - len(kept)
        progress("comparing with the champion", start + part.num_rows, requests.num_rows)


def _answered(opened: Bundle, part: pa.Table) -> Answered:
    """Rows as a client would send them; a required input that the rows lack, since they are of another contract, is missing."""
    names = {column.name for column in opened.contract.inputs} & set(part.column_names)
    absent = frozenset(column.name for column in opened.contract.inputs if column.name not in names)
    return answers.answer(opened, [request_row(row) for row in part.select(sorted(names)).to_pylist()], absent=absent)


def _texts(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return np.array([str(value) for value in column.to_pylist()])
