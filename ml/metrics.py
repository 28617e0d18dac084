"""Errors of answers, and intervals that resample whole groups: rows of a group are alike, so groups are the sample."""

from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 1000
LEAST_GROUPS = 5  # an interval from fewer groups says nothing


@dataclass(frozen=True)
class Answers:
    """One split: float64 arrays [rows] of the truth and the answer, and int64 [rows] the index of the row's group."""

    truth: np.ndarray
    answer: np.ndarray
    group: np.ndarray
    groups: int


def answers_of(truth: np.ndarray, answer: np.ndarray, groups: list[str] | np.ndarray) -> Answers:
    """Answers whose groups are given by name or number, [rows]."""
    unique, index = np.unique(np.asarray(groups), return_inverse=True)
    return Answers(truth, answer, index, len(unique))


def loss(answers: Answers, task: str) -> np.ndarray:
    """The loss of each row, float64 [rows]: squared error, or log loss."""
    if task == "regression":
        return (answers.truth - answers.answer) ** 2
    probability = np.clip(answers.answer, 1e-12, 1 - 1e-12)
    return -(answers.truth * np.log(probability) + (1 - answers.truth) * np.log(1 - probability))


def summary(mean_loss: Any, task: str) -> Any:
    return np.sqrt(mean_loss) if task == "regression" else mean_loss


def metric_name(task: str) -> str:
    """The one number of a task, lower is better."""
    return "rmse" if task == "regression" else "log_loss"


def metrics(answers: Answers, task: str) -> dict[str, Any]:
    """The errors of a split, the first with its 95 % interval."""
    name = metric_name(task)
    losses = loss(answers, task)
    draws = summary(resampled(losses, answers), task)
    found: dict[str, Any] = {
        "rows": len(losses),
        "groups": answers.groups,
        name: float(summary(losses.mean(), task)),
        f"{name}_interval": interval(draws),
    }
    if task == "regression":
        found["mae"] = float(np.abs(answers.truth - answers.answer).mean())
    else:
        from sklearn.metrics import roc_auc_score

        both = len(np.unique(answers.truth)) == 2
        found["auc"] = float(roc_auc_score(answers.truth, answers.answer)) if both else None
    return found


def difference(ours: Answers, theirs: Answers, task: str) -> dict[str, Any]:
    """Ours less theirs, negative when ours is better, with the interval of paired resampling of groups."""
    own, other = loss(ours, task), loss(theirs, task)
    draws = summary(resampled(own, ours), task) - summary(resampled(other, theirs), task)
    return {"point": float(summary(own.mean(), task) - summary(other.mean(), task)), "interval": interval(draws)}


def resampled(losses: np.ndarray, answers: Answers) -> np.ndarray:
    """Mean losses, float64 [RESAMPLES], of bootstrap samples of whole groups; the same draws for all that share their groups."""
    return redrawn(np.bincount(answers.group, losses, answers.groups), np.bincount(answers.group, minlength=answers.groups))


def redrawn(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means, float64 [RESAMPLES], of bootstrap samples of groups, from each group's sum and count."""
    draws = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    return sums[draws].sum(1) / counts[draws].sum(1)


def by_slice(answers: Answers, labels: np.ndarray, inside: np.ndarray | None, task: str) -> dict[str, dict[str, Any]]:
    """The error of each label's rows with its interval (of LEAST_GROUPS groups or more), the mean error, and the coverage.

    `labels`: text [rows]; `inside`: bool [rows], whether the interval held the truth, where there are intervals.
    """
    found: dict[str, dict[str, Any]] = {}
    for label in dict.fromkeys(labels.tolist()):
        mask = labels == label
        part = answers_of(answers.truth[mask], answers.answer[mask], answers.group[mask])
        losses = loss(part, task)
        entry: dict[str, Any] = {"rows": len(losses), "groups": part.groups, metric_name(task): float(summary(losses.mean(), task))}
        enough = part.groups >= LEAST_GROUPS
        entry["interval"] = interval(summary(resampled(losses, part), task)) if enough else None
        entry["mean_error"] = float((part.answer - part.truth).mean())
        entry["coverage"] = float(inside[mask].mean()) if inside is not None else None
        found[label] = entry
    return found


def interval(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(values, [0.025, 0.975])]
