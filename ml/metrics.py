"""Errors of answers, and intervals that resample whole groups: rows of a group are alike, so groups are the sample."""

from dataclasses import dataclass, replace

import numpy as np

RESAMPLES = 1000
MIN_GROUPS = 5  # an interval from fewer groups is meaningless
Interval = tuple[float, float]


@dataclass(frozen=True)
class Answers:
    """One split: float64 arrays [rows] of the truth and the answer, and int64 [rows] the index of the row's group."""

    truth: np.ndarray
    answer: np.ndarray
    group: np.ndarray
    groups: int


@dataclass(frozen=True)
class Difference:
    """One error less another on the same rows, negative when the first is better, with its 95 % interval."""

    point: float
    interval: Interval

    def __str__(self) -> str:
        return f"{self.point:+.3g} [{self.interval[0]:+.3g}, {self.interval[1]:+.3g}]"


@dataclass(frozen=True)
class SliceMetrics:
    """The error of a slice's rows, with its interval where it has MIN_GROUPS groups; the mean error is answer less truth."""

    rows: int
    groups: int
    interval: Interval | None
    mean_error: float
    coverage: float | None
    rmse: float | None = None
    log_loss: float | None = None

    @property
    def error(self) -> float:
        return _either(self.rmse, self.log_loss)


@dataclass(frozen=True)
class SplitMetrics:
    """The errors of a split's rows, in the target's unit: of regression RMSE, MAE and what the intervals hold, of a binary
    target log loss and the area under the ROC curve. `slices`: of the network, by slice and label. `difference`: of a
    baseline, the network's error less the baseline's.
    """

    rows: int
    groups: int
    rmse: float | None = None
    rmse_interval: Interval | None = None
    mae: float | None = None
    log_loss: float | None = None
    log_loss_interval: Interval | None = None
    auc: float | None = None
    coverage: float | None = None
    interval_width: float | None = None
    slices: dict[str, dict[str, SliceMetrics]] | None = None
    difference: Difference | None = None

    @property
    def error(self) -> float:
        """The one number of the task, lower is better."""
        return _either(self.rmse, self.log_loss)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of `error`."""
        found = self.rmse_interval or self.log_loss_interval
        assert found is not None
        return found

    @property
    def second(self) -> float:
        """MAE, or the area under the ROC curve: NaN where only one class was seen."""
        found = self.auc if self.mae is None else self.mae
        return float("nan") if found is None else found


def answers_of(truth: np.ndarray, answer: np.ndarray, groups: list[str] | np.ndarray) -> Answers:
    """Answers whose groups are given by name or number, [rows]."""
    unique, index = np.unique(np.asarray(groups), return_inverse=True)
    return Answers(truth, answer, index, len(unique))


def loss(answers: Answers, task: str) -> np.ndarray:
    """The loss of each row, float64 [rows]: squared error, or log loss."""
    if task == "regression":
        return np.asarray((answers.truth - answers.answer) ** 2)
    probability = np.clip(answers.answer, 1e-12, 1 - 1e-12)
    return np.asarray(-(answers.truth * np.log(probability) + (1 - answers.truth) * np.log(1 - probability)))


def summary(mean_loss: float, task: str) -> float:
    """The error of a mean loss: RMSE is its square root."""
    return float(np.sqrt(mean_loss)) if task == "regression" else float(mean_loss)


def summaries(mean_losses: np.ndarray, task: str) -> np.ndarray:
    """The errors of mean losses, float64 [n]."""
    return np.sqrt(mean_losses) if task == "regression" else mean_losses


def metric_name(task: str) -> str:
    """The one number of a task, lower is better."""
    return "rmse" if task == "regression" else "log_loss"


def metrics(answers: Answers, task: str) -> SplitMetrics:
    """The errors of a split, the first with its 95 % interval."""
    losses = loss(answers, task)
    error, between = summary(losses.mean(), task), interval(summaries(resampled(losses, answers), task))
    found = SplitMetrics(len(losses), answers.groups)
    if task == "regression":
        return replace(found, rmse=error, rmse_interval=between, mae=float(np.abs(answers.truth - answers.answer).mean()))
    from sklearn.metrics import roc_auc_score

    both = len(np.unique(answers.truth)) == 2
    auc = float(roc_auc_score(answers.truth, answers.answer)) if both else None
    return replace(found, log_loss=error, log_loss_interval=between, auc=auc)


def difference(first: Answers, second: Answers, task: str) -> Difference:
    """The first less the second, negative when the first is better, with the interval of paired resampling of groups."""
    own, other = loss(first, task), loss(second, task)
    draws = summaries(resampled(own, first), task) - summaries(resampled(other, second), task)
    return Difference(summary(own.mean(), task) - summary(other.mean(), task), interval(draws))


def resampled(losses: np.ndarray, answers: Answers) -> np.ndarray:
    """Mean losses, float64 [RESAMPLES], of bootstrap samples of whole groups; the same draws for all that share their groups."""
    return redrawn(np.bincount(answers.group, losses, answers.groups), np.bincount(answers.group, minlength=answers.groups))


def redrawn(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means, float64 [RESAMPLES], of bootstrap samples of groups, from each group's sum and count."""
    draws = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    return np.asarray(sums[draws].sum(1) / counts[draws].sum(1))


def by_slice(answers: Answers, labels: np.ndarray, inside: np.ndarray | None, task: str) -> dict[str, SliceMetrics]:
    """The error of each label's rows with its interval (of MIN_GROUPS groups or more), the mean error, and the coverage.

    `labels`: text [rows]; `inside`: bool [rows], whether the interval held the truth, where there are intervals.
    """
    found: dict[str, SliceMetrics] = {}
    for label in dict.fromkeys(labels.tolist()):
        mask = labels == label
        part = answers_of(answers.truth[mask], answers.answer[mask], answers.group[mask])
        losses = loss(part, task)
        entry = SliceMetrics(
            rows=len(losses),
            groups=part.groups,
            interval=interval(summaries(resampled(losses, part), task)) if part.groups >= MIN_GROUPS else None,
            mean_error=float((part.answer - part.truth).mean()),
            coverage=float(inside[mask].mean()) if inside is not None else None,
        )
        error = summary(losses.mean(), task)
        found[label] = replace(entry, rmse=error) if task == "regression" else replace(entry, log_loss=error)
    return found


def interval(values: np.ndarray) -> Interval:
    """The middle 95 % of values [n]."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _either(rmse: float | None, log_loss: float | None) -> float:
    found = log_loss if rmse is None else rmse
    assert found is not None
    return found
