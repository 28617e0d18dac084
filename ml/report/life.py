"""The sections about the life of the service: drift, versions, what each step costs."""

from ml.console import size
from ml.drift.record import Record
from ml.metrics import metric_name
from ml.report import charts
from ml.report.page import Section, figure, pair, table, text
from ml.report.sources import Sources

MAX_LINES = 3


def drift(found: Sources) -> Section:
    """The verdict, its findings, and the series over windows."""
    record = found.drift
    if record is None:
        return Section("drift", "Drift", text(f"Not judged yet: run skewless drift {found.contract.project}.", True))
    rows = [
        [
            entry.name, entry.role, f"{entry.score:.3f}", f"{entry.threshold:g}", entry.says,
            "moved" if entry.drifted else "",
        ]
        for entry in record.findings
    ]  # fmt: skip
    body = text(record.verdict) + _windows(found, record)
    moved = [entry.drifted for entry in record.findings]
    body += table(["column", "role", "score", "threshold", "reference and log", ""], rows, (0, 1, 4), moved)
    return Section("drift", "Drift", body)


def _windows(found: Sources, record: Record) -> str:
    """The voting scores and the live error over the windows."""
    windows = [window for window in record.series if window.judged]
    if len(windows) < 2:
        return text("One window only; a series needs more than one.", True)
    begins = [window.from_.removesuffix("T00:00:00") for window in windows]
    by_window = [{entry.name: entry.score for entry in window.findings} for window in windows]
    names = dict.fromkeys(name for scores in by_window for name in scores)
    voting = {entry.name for entry in record.findings if entry.role in ("feature", "prediction")}
    worst = sorted((name for name in names if name in voting), key=lambda name: -max(scores.get(name, 0.0) for scores in by_window))
    shown = dict.fromkeys([*(["prediction"] if "prediction" in names else []), *worst][: MAX_LINES + 1])
    threshold, unit = found.contract.drift["numerical"], record.window
    caption = f"Distance to the reference by {unit}: predictions and the features that moved most"
    kept: dict[str, list[float | None]] = {name: [scores.get(name) for scores in by_window] for name in shown}
    parts = [figure(caption, charts.lines(begins, kept, f"{unit} beginning", "score (standard deviations)", level=threshold))]
    errors = [window.live.error if window.live else None for window in windows]
    if any(error is not None for error in errors):
        label = f"live {found.metrics.metric}"
        chart = charts.lines(begins, {"live": errors}, f"{unit} beginning", label, level=found.metrics.test.error)
        parts.append(figure(f"Live error by {unit}; the dashes are test's", chart))
    return pair(*parts)


def versions(found: Sources) -> Section:
    """Every version with its errors."""
    name = metric_name(found.contract.task)
    rows = [
        [
            version["version"], version["created_at"].replace("T", " ").removesuffix("+00:00"), str(version["snapshot"]),
            _number(version["test"].get(name)), _number(version["out_of_time"].get(name)), "champion" if version["champion"] else "",
        ]
        for version in found.versions
    ]  # fmt: skip
    if not rows:
        return Section("versions", "Versions", text(f"None is packaged yet: run skewless package {found.contract.project}.", True))
    headers = ["version", "created (UTC)", "snapshot", f"test {name}", f"out of time {name}", ""]
    return Section("versions", "Versions", table(headers, rows, (0, 1, 2)))


def costs(found: Sources) -> Section:
    """The ledger by step."""
    if not found.steps:
        return Section("cost", "Steps and cost", text("The ledger is empty.", True))
    rows = [
        [
            step.step, str(step.runs), f"{step.rows:,}", f"{step.wall_s:.1f}", f"{step.cpu_s:.1f}",
            size(step.peak_memory_bytes), f"{step.cost_usd:.2f}",
        ]
        for step in found.steps
    ]  # fmt: skip
    headers = ["step", "runs", "rows", "wall s", "CPU s", "peak memory", "USD"]
    return Section("cost", "Steps and cost", table(headers, rows))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
