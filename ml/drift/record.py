"""What drift found, as records: columns, windows, live errors, files of outcomes, and the verdict over all of it."""

from dataclasses import dataclass, field

from ml.metrics import Interval


@dataclass(frozen=True)
class Finding:
    """One column before and now; `score`, `threshold` and `noise` in the unit of its kind's distance. `role`: that of the
    contract, or ignored.
    """

    name: str
    kind: str
    unit: str
    role: str
    score: float
    threshold: float
    noise: float
    drifted: bool
    missing_before: float
    missing_now: float
    mean_before: float | None
    mean_now: float | None
    says: str


@dataclass(frozen=True)
class Verdict:
    """Whether some rows have drifted: `moved` are those of the `voting` features that did."""

    drifted: bool
    moved: tuple[str, ...]
    voting: int
    share_drifted: float
    prediction_moved: bool


@dataclass(frozen=True)
class Live:
    """The error of predictions whose truth is known, next to that on test. Regression: RMSE, MAE and the share inside the
    intervals; binary: log loss and Brier score. `resampled`: what the interval resamples, such as 8 groups; None where
    there are too few. `against_test`: worse, better, like or unknown.
    """

    rows: int
    resampled: str | None
    test: float
    test_interval: Interval
    against_test: str
    says: str
    rmse: float | None = None
    rmse_interval: Interval | None = None
    mae: float | None = None
    coverage: float | None = None
    log_loss: float | None = None
    log_loss_interval: Interval | None = None
    brier: float | None = None

    @property
    def error(self) -> float:
        """The one number of the task, lower is better."""
        found = self.log_loss if self.rmse is None else self.rmse
        assert found is not None
        return found


@dataclass(frozen=True)
class Window:
    """The rows from `from_` until before `to`, the `newest` of them; all in ISO form. `judged`: None with too few rows."""

    from_: str
    to: str
    newest: str
    rows: int
    complete: bool
    judged: Verdict | None
    findings: tuple[Finding, ...]
    live: Live | None


@dataclass(frozen=True)
class OutcomesFile:
    """A kept file of outcomes: its rows, what was wrong with some of them, and how many name no known prediction."""

    file: str
    added_at: str
    rows: int
    kept: int
    duplicates: int
    duplicates_ids: tuple[str, ...]
    unreadable: int
    unreadable_ids: tuple[str, ...]
    id: str = ""
    unknown: int = 0
    unknown_ids: tuple[str, ...] = ()
    of_other_versions: int = 0


@dataclass(frozen=True)
class Record:
    """The verdict with all that it rests on: the whole, the windows, the newest complete window (`last`), the live error.

    `state`: the hash of what it was made from. `rows_compared`: those of the judged rows whose exact distances were taken.
    """

    project: str
    state: str
    model_version: str
    at: str
    source: str
    source_name: str
    rows: int
    unreadable_lines: int
    undated_rows: int
    thresholds: dict[str, float]
    rows_compared: int
    reference_rows: int
    outcomes: tuple[OutcomesFile, ...]
    drifted: bool = False
    verdict: str = ""
    share_drifted: float = 0.0
    window: str = ""
    findings: tuple[Finding, ...] = ()
    live: Live | None = None
    last: str | None = None
    usual_scores: dict[str, float] = field(default_factory=dict)
    series: tuple[Window, ...] = ()
