"""One column before and now: whether it has moved, and a sentence that says so in the column's own unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ml.contract import Column, Contract
from ml.drift.record import Finding, Verdict

UNSEEN = "values that training never saw"
NOTICED = 0.02  # a change in the share of missing values that is worth its words


@dataclass(frozen=True)
class Side:
    """The reference, or rows that are compared with it: the share without a value, and of the others mean and standard
    deviation (numerical) or the share of each value (categorical).
    """

    rows: int
    missing: float
    mean: float | None = None
    spread: float | None = None
    shares: dict[str, float] = field(default_factory=dict)


def judged_columns(contract: Contract) -> list[Column]:
    """The prediction, in the unit of the target, and every feature."""
    target = next(column for column in contract.columns if column.role == "target")
    prediction = Column("prediction", "double", "prediction", kind="numerical", unit=target.unit)
    return [prediction, *contract.features]


def role(column: Column) -> str:
    return "ignored" if column.drift == "ignore" else column.role


def threshold(contract: Contract, column: Column) -> float:
    """The column's own, or that of its kind."""
    if isinstance(column.drift, (int, float)) and not isinstance(column.drift, bool):
        return float(column.drift)
    return contract.drift[column.kind]


def finding(column: Column, limit: float, score: float, noise: float, before: Side, now: Side) -> Finding:
    """What is known of one column. It has moved beyond its threshold and beyond `noise`, what chance does in so few rows or
    so short a time; or when the share of rows without a value has changed by more than the threshold.
    """
    shifted, emptied = score > max(limit, noise), abs(now.missing - before.missing) > limit
    return Finding(
        name=column.name,
        kind=column.kind,
        unit=column.unit,
        role=role(column),
        score=score,
        threshold=limit,
        noise=noise,
        drifted=shifted or emptied,
        missing_before=before.missing,
        missing_now=now.missing,
        mean_before=before.mean,
        mean_now=now.mean,
        says=_says(column, limit, score, noise, before, now, shifted),
    )


def verdict(contract: Contract, findings: Sequence[Finding]) -> Verdict:
    """Drift is a prediction that moved, or a share of the voting features."""
    voting = [found for found in findings if found.role == "feature"]
    moved = tuple(found.name for found in voting if found.drifted)
    share = len(moved) / len(voting) if voting else 0.0
    answers = _prediction(findings)
    return Verdict(answers.drifted or share >= contract.drift["share"], moved, len(voting), share, answers.drifted)


def sentence(contract: Contract, judged: Verdict, findings: Sequence[Finding], what: str) -> str:
    """The verdict over some rows, in one sentence."""
    answers = _prediction(findings)
    named = f" ({_few(judged.moved)})" if judged.moved else ""
    features = f"{len(judged.moved)} of {judged.voting} voting features moved{named}, {contract.drift['share']:.0%} are needed"
    answered = f"predictions {'moved' if answers.drifted else 'did not move'}: {answers.says}"
    return f"{'drift' if judged.drifted else 'no drift'} in {what}: {features}; {answered}"


def _prediction(findings: Sequence[Finding]) -> Finding:
    return next(found for found in findings if found.role == "prediction")


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _says(column: Column, limit: float, score: float, noise: float, before: Side, now: Side, shifted: bool) -> str:
    parts = []
    if column.kind == "categorical":
        changes = {name: now.shares.get(name, 0.0) - before.shares.get(name, 0.0) for name in {**before.shares, **now.shares}}
        if changes and before.shares and now.shares:
            most = max(sorted(changes), key=lambda name: abs(changes[name]))
            parts.append(f"{most} {share(before.shares.get(most, 0.0))} → {share(now.shares.get(most, 0.0))}")
            parts += [f"distance {score:.2g}"] * (score > limit)
    elif before.mean is not None and now.mean is not None:
        parts.append(_averages(column, before.mean, now.mean, before.spread or 0.0, now.spread or 0.0, score, shifted))
        parts += [f"{score:.2g} standard deviations"] * (score > limit)
    said = ", ".join(parts)
    if shifted:
        said += f"; threshold {limit:g}"
    elif score > limit:
        said += f"; over the threshold {limit:g}, but no more than chance gives ({noise:.2g})"
    if abs(now.missing - before.missing) >= NOTICED:
        said += f"{'; ' if said else ''}missing in {share(now.missing)} of rows, {share(before.missing)} before"
    return said or "no values"


def _averages(column: Column, before: float, now: float, spread: float, spread_now: float, score: float, shifted: bool) -> str:
    if column.type == "boolean":
        return f"true in {share(now)} of rows, {share(before)} before"
    unit = f" {column.unit}" if column.unit else ""
    left, right = number(before, spread), number(now, spread)
    if not shifted:
        return f"{left} → {right}{unit} on average"
    if abs(now - before) >= 0.5 * score * spread:
        return f"{'rose' if now > before else 'fell'} from {left} to {right}{unit} on average"
    # The whole has moved further than its mean: it has become wider, narrower or lopsided.
    wider = f"now spreads by {number(spread_now, spread)}{unit}, {number(spread, spread)} before"
    return f"{wider}, around {right}{unit} on average, {left} before"


def number(value: float, spread: float) -> str:
    """A value with the digits that a column of such a spread deserves: a fiftieth of a standard deviation can be seen."""
    scale = spread if spread > 0 else abs(value)
    digits = min(9, max(0, 1 - math.floor(math.log10(scale / 5)))) if scale > 0 else 0
    value = round(value, digits) + 0.0  # a minus before nothing says nothing
    return f"{value:,.{digits}f}" if abs(value) >= 10_000 else f"{value:.{digits}f}"


def share(value: float) -> str:
    """A share of rows; never 0% or 100% where there are a few."""
    digits = 1 if 0 < value < 0.1 or 0.9 < value < 1 else 0
    return f"{value:.{digits}%}" if 0.0005 <= value <= 0.9995 or value in (0, 1) else ("below 0.1%" if value < 0.5 else "above 99.9%")
