"""The reference sample against the prediction log: how far features and predictions have moved, and a verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import contract as contracts
from ml import storage
from ml.contract import Contract
from ml.errors import GateError
from ml.hashing import hash_json
from ml.storage import Storage

LOGGED = {"text": "varchar", "integer": "bigint", "double": "double", "boolean": "boolean", "timestamp": "timestamp", "date": "date"}
MAX_ROWS = 200_000  # the statistics sort; beyond this a hash sample says the same
PAGE_ROWS = 5_000
LEAST_ROWS = 100
PERMUTATIONS = 200
PLURAL = {"request": "requests", "rehearsal": "the rehearsal"}
NOISELESS_ROWS = 5_000  # above this, chance moves a column by less than any sensible threshold
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Findings:
    """The verdict with all that it rests on, and the key of Evidently's page."""

    drifted: bool
    record: dict[str, Any]
    page: str | None
    unchanged: bool = False


def drift(where: Storage, project: str, bundle: Path, page: bool, progress: Progress) -> Findings:
    """Compare the champion's prediction log with its reference sample.

    Numerical columns: Wasserstein distance in standard deviations of the reference. Categorical ones:
    Jensen-Shannon distance, natural logarithm; the digits are Evidently's. A column has moved when it lies beyond its
    threshold and beyond what chance does with so few rows. Thresholds are data: `meta.ml.drift` of the feature table,
    `drift` of a column.

    Raises:
        GateError: with fewer than LEAST_ROWS predictions to judge.
    """
    contract = contracts.load(bundle / "contract.json")
    log = storage.fetch(where, where.own(project, "predictions", bundle.name))
    state = hash_json([bundle.name, [[path.name, path.stat().st_size] for path in sorted(log.glob("data/*"))], contract.to_json()])
    known = _last(where, project)
    if known is not None and known.record.get("state") == state and (known.page or not page):
        return known
    reference = pq.read_table(bundle / "reference.parquet")
    current, source, rows, unreadable = _read_log(log, contract)
    if rows < LEAST_ROWS:
        raise GateError(
            f"the champion {bundle.name} of {project} has logged {rows} predictions; drift needs {LEAST_ROWS}",
            f"serve some: skewless serve {project}",
        )
    findings = [_compare("prediction", "numerical", contract.drift["numerical"], "prediction", reference, current)]
    for column in contract.features:
        threshold = contract.drift[column.kind]
        if isinstance(column.drift, (int, float)) and not isinstance(column.drift, bool):
            threshold = float(column.drift)
        role = "ignored" if column.drift == "ignore" else "feature"
        findings.append(_compare(column.name, column.kind, threshold, role, reference, current))
    voting = [finding for finding in findings if finding["role"] == "feature"]
    moved = [finding["name"] for finding in voting if finding["drifted"]]
    share = len(moved) / len(voting) if voting else 0.0
    drifted = findings[0]["drifted"] or share >= contract.drift["share"]
    record: dict[str, Any] = {
        "project": project,
        "state": state,
        "model_version": bundle.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "drifted": drifted,
        "verdict": _sentence(drifted, findings[0], moved, len(voting), contract.drift["share"], f"{rows:,} rows of {PLURAL[source]}"),
        "source": source,
        "rows": rows,
        "rows_compared": current.num_rows,
        "reference_rows": reference.num_rows,
        "unreadable_lines": unreadable,
        "share_drifted": share,
        "thresholds": contract.drift,
        "findings": sorted(findings, key=lambda finding: (finding["role"] != "prediction", -finding["score"])),
    }
    key = where.own(project, "drift", record["at"].replace(":", "").replace("+0000", "Z"))
    storage.write_json(where, f"{key}.json", record)
    shown = None
    if page:
        progress("Evidently's page", 0, 0)
        storage.write_file(where, f"{key}.html", lambda path: _write_page(contract, reference, current, path))
        shown = f"{key}.html"
    return Findings(drifted, record, shown)


def _last(where: Storage, project: str) -> Findings | None:
    """The verdict given last."""
    names = storage.names(where, where.own(project, "drift"))
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    if not stems:
        return None
    key = where.own(project, "drift", stems[-1])
    record = storage.read_json(where, f"{key}.json")
    return Findings(record["drifted"], record, f"{key}.html" if f"{stems[-1]}.html" in names else None, unchanged=True)


def _read_log(folder: Path, contract: Contract) -> tuple[pa.Table, str, int, int]:
    """The logged features and predictions (a hash sample of at most MAX_ROWS), their source, rows of it, unreadable lines.

    Requests are judged once there are LEAST_ROWS of them; until then, the held-back rows of the rehearsal.
    """
    files = sorted(str(path) for path in folder.glob("data/*"))
    names = [column.name for column in contract.features]
    types = {
        "prediction_id": "varchar",
        "source": "varchar",
        "prediction": "double",
        **{column.name: LOGGED[column.type] for column in contract.features},
    }
    if not files:
        return pa.table({"prediction": pa.array([], pa.float64())}), "request", 0, 0
    with duckdb.connect() as opened:
        opened.execute(
            "create view logged as select * from read_json($files, format = 'newline_delimited', columns = $columns, ignore_errors = true)"
            .replace("$files", repr(files)).replace("$columns", repr(types))
        )  # fmt: skip
        unreadable = opened.execute("select count(*) - count(prediction_id) from logged").fetchall()[0][0]
        counts = dict(opened.execute("select source, count(*) from logged where prediction_id is not null group by source").fetchall())
        source = "rehearsal" if counts.get("request", 0) < LEAST_ROWS <= counts.get("rehearsal", 0) else "request"
        rows = counts.get(source, 0)
        bound = min(1 << 20, int((1 << 20) * MAX_ROWS / max(rows, 1)))
        quoted = ", ".join(f'"{name}"' for name in ("prediction", *names))
        sample = f"select {quoted} from logged where source = '{source}' and (md5_number(prediction_id) & 1048575) < {bound}"
        return opened.execute(f"{sample} order by prediction_id").to_arrow_table(), source, rows, unreadable


def _compare(name: str, kind: str, threshold: float, role: str, reference: pa.Table, current: pa.Table) -> dict[str, Any]:
    before, after = reference[name], current[name]
    missing = (before.null_count / max(len(before), 1), after.null_count / max(len(after), 1))
    if kind == "numerical":
        left, right = (column.drop_null().cast(pa.float64()).to_numpy() for column in (before, after))
        distance, says = _wasserstein, f"mean {_mean(left)} → {_mean(right)}"
    else:
        both = pa.chunked_array([*before.chunks, *after.chunks]).drop_null().dictionary_encode().combine_chunks()
        values = both.dictionary.to_pylist()
        codes = both.indices.to_numpy(zero_copy_only=False)
        left, right = codes[: len(before) - before.null_count], codes[len(before) - before.null_count :]
        shares = [np.bincount(part, minlength=len(values)) / max(len(part), 1) for part in (left, right)]
        most = int(np.argmax(np.abs(shares[1] - shares[0]))) if values else 0
        says = f"{values[most]} {shares[0][most]:.1%} → {shares[1][most]:.1%}" if values else "no values"
        distance = _jensen_shannon
    enough = len(left) > 0 and len(right) > 0
    score = distance(left, right) if enough else 0.0
    noise = _noise(distance, left, right) if enough and score > threshold else 0.0
    return {
        "name": name,
        "kind": kind,
        "role": role,
        "score": score,
        "threshold": threshold,
        "noise": noise,
        "drifted": score > max(threshold, noise) or abs(missing[1] - missing[0]) > threshold,
        "missing_before": missing[0],
        "missing_now": missing[1],
        "says": says,
    }


def _wasserstein(left: np.ndarray, right: np.ndarray) -> float:
    """In standard deviations of the reference, as Evidently normalises it."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(left, right)) / max(float(left.std()), 1e-3)


def _jensen_shannon(left: np.ndarray, right: np.ndarray) -> float:
    from scipy.spatial.distance import jensenshannon

    count = int(max(left.max(), right.max())) + 1
    return float(jensenshannon(np.bincount(left, minlength=count), np.bincount(right, minlength=count)))


def _noise(distance: Callable[[np.ndarray, np.ndarray], float], left: np.ndarray, right: np.ndarray) -> float:
    """The distance that 95 % of random splits of the pooled rows stay below: few rows lie apart by chance alone."""
    if min(len(left), len(right)) > NOISELESS_ROWS:
        return 0.0
    pooled, generator = np.concatenate([left, right]), np.random.default_rng(0)
    draws = []
    for _ in range(PERMUTATIONS):
        generator.shuffle(pooled)
        draws.append(distance(pooled[: len(left)], pooled[len(left) :]))
    return float(np.quantile(draws, 0.95))


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.4g}" if len(values) else "none"


def _sentence(drifted: bool, prediction: dict[str, Any], moved: list[str], voting: int, share: float, judged: str) -> str:
    named = f" ({', '.join(moved)})" if moved else ""
    features = f"{len(moved)} of {voting} voting features moved{named}, {share:.0%} are needed for a verdict"
    answers = f"predictions {'moved' if prediction['drifted'] else 'did not move'}, {prediction['says']}"
    return f"{'drift' if drifted else 'no drift'} in {judged}: {features}; {answers}"


def _write_page(contract: Contract, reference: pa.Table, current: pa.Table, path: Path) -> None:
    """Evidently's drift preset over bounded samples, as one self-contained page."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = ["prediction", *(column.name for column in contract.features)]
    numerical = ["prediction", *contract.numerical]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=list(contract.categorical))
    sets = []
    for table in (reference, current):
        step = max(1, table.num_rows // PAGE_ROWS)
        frame = table.select(names).take(pa.array(range(0, table.num_rows, step))).to_pandas()
        sets.append(Dataset.from_pandas(frame.astype(dict.fromkeys(numerical, float)), data_definition=definition))
    preset = DataDriftPreset(
        num_method="wasserstein", num_threshold=contract.drift["numerical"],
        cat_method="jensenshannon", cat_threshold=contract.drift["categorical"], drift_share=contract.drift["share"],
    )  # fmt: skip
    Report([preset]).run(current_data=sets[1], reference_data=sets[0]).save_html(str(path))
