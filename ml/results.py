"""What evaluate, ablation and the learning curve found, as records that other steps read without loading torch."""

from dataclasses import dataclass

from ml.metrics import Difference, Interval, SplitMetrics, metric_name

SPLITS = ("test", "out_of_time")  # of those that training does not see


@dataclass(frozen=True)
class Gate:
    """What one of the project's own gates asks, and whether it holds."""

    name: str
    ok: bool
    says: str


@dataclass(frozen=True)
class Baseline:
    """The errors of a baseline on the network's rows, each with the `difference`: the network's error less its own."""

    test: SplitMetrics
    out_of_time: SplitMetrics | None

    def split(self, name: str) -> SplitMetrics:
        """The metrics of a split of which there are rows."""
        return _of(self, name)


@dataclass(frozen=True)
class Metrics:
    """What a run is worth: its errors by split, those of the baselines, and the project's gates."""

    project: str
    task: str
    target: str
    run: str
    snapshot: str
    code: str
    test: SplitMetrics
    out_of_time: SplitMetrics | None
    baselines: dict[str, Baseline]
    gates: tuple[Gate, ...] = ()

    @property
    def metric(self) -> str:
        """The name of the one number of the task."""
        return metric_name(self.task)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of which there are rows."""
        return SPLITS if self.out_of_time else SPLITS[:1]

    def split(self, name: str) -> SplitMetrics:
        """The metrics of a split of which there are rows."""
        return _of(self, name)


def _of(record: Metrics | Baseline, split: str) -> SplitMetrics:
    found = record.test if split == "test" else record.out_of_time
    assert found is not None, f"there are no rows of {split}"
    return found


@dataclass(frozen=True)
class Change:
    """What shuffling a feature, or a family of them, does to the error. `kind`: feature or family.

    `change`: the error with the features shuffled less the error as it is, in the metric's unit; positive when they help.
    The interval resamples whole groups, paired. `earns`: the interval is above 0.
    """

    name: str
    kind: str
    features: tuple[str, ...]
    change: float
    interval: Interval
    earns: bool


@dataclass(frozen=True)
class Ablation:
    """The changes, the largest first, and the `error` as it is; `rows_read` and `groups` are those of validation."""

    project: str
    run: str
    code: str
    metric: str
    rows_read: int
    groups: int
    error: float
    rows: tuple[Change, ...]


@dataclass(frozen=True)
class Point:
    """A network trained on a share of the train split: its error and the interval, in the metric's unit."""

    share: float
    rows: int
    error: float
    interval: Interval
    run: str


@dataclass(frozen=True)
class Curve:
    """The learning curve of a snapshot, the smallest sample first."""

    project: str
    snapshot: str
    metric: str
    target: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Comparison:
    """A challenger and the champion on the same test rows, and whether the challenger may be promoted.

    `says` is the sentence, `short` the difference with its interval, `why` the reason of a refusal. Where nothing could be
    compared the numbers are None. `left_out`: rows that one of the two refuses; `asked`: which rows.
    """

    challenger: str
    champion: str
    ok: bool
    says: str
    short: str
    why: str
    code: str = ""
    metric: str | None = None
    challenger_error: float | None = None
    champion_error: float | None = None
    difference: Difference | None = None
    snapshot: str | None = None
    asked: str | None = None
    rows: int = 0
    left_out: int = 0
    groups: int = 0
    group: str | None = None
