"""The network, its head and its loss. This is the file to replace: keep `NetworkConfig`, `build`, `head_of`, and what they return.

Everything here is in the network's own scale: a regression target is standardised, less its baseline if it has one.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from ml.contract import Contract

COVERAGE = 0.9  # the share of rows whose interval shall hold the truth


@dataclass(frozen=True)
class NetworkConfig:
    """`width` and `cardinalities` come from the data; the rest is yours."""

    width: int  # columns of the numerical matrix
    cardinalities: tuple[int, ...]  # codes of each categorical feature
    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.3


class TabularNetwork(nn.Module):
    """Embedded categories next to the numerical columns, through plain layers."""

    def __init__(self, config: NetworkConfig, outputs: int) -> None:
        super().__init__()
        sizes = [min(16, 1 + cardinality // 2) for cardinality in config.cardinalities]
        self.embeddings = nn.ModuleList(nn.Embedding(count, size) for count, size in zip(config.cardinalities, sizes, strict=True))
        layers: list[nn.Module] = []
        width = config.width + sum(sizes)
        for hidden in config.hidden:
            layers += [nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(config.dropout)]
            width = hidden
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, outputs)
        for embedding in self.embeddings:
            nn.init.normal_(embedding.weight, std=0.1)  # type: ignore[arg-type]
            nn.init.zeros_(embedding.weight[:2])  # type: ignore[index]  # missing and unknown start out as "nothing known"

    def forward(self, numerical: torch.Tensor, categorical: torch.Tensor) -> torch.Tensor:
        """[rows, width] float32 and [rows, categories] int64 → [rows, outputs] float32."""
        parts = [numerical, *(embedding(categorical[:, i]) for i, embedding in enumerate(self.embeddings))]
        found: torch.Tensor = self.head(self.body(torch.cat(parts, dim=1)))
        return found


class Head(Protocol):
    """What a task makes of the network's outputs, [rows, outputs]. Calibrated numbers are stored with the weights by their names."""

    @property
    def outputs(self) -> int:
        """How many numbers the network gives for a row."""

    def loss(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """What training minimises: the mean over [rows], a scalar."""

    def losses(self, outputs: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        """The loss of each row [rows] whose mean early stopping compares. `scale`: the target's unit over the network's."""

    def score(self, mean_loss: float) -> float:
        """The number that is shown for the mean of `losses`, lower is better."""

    def calibrate(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
        """What rows that training never saw say, float64 [rows, outputs] and [rows]: the numbers that `point` and `bounds` are given."""

    def point(self, outputs: torch.Tensor, calibration: dict[str, float]) -> torch.Tensor:
        """The prediction [rows]: a value in the network's scale, or a probability."""

    def bounds(self, outputs: torch.Tensor, calibration: dict[str, float]) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The lower and upper end of each row's interval [rows], which hold the prediction; None where the task has none."""


@dataclass(frozen=True)
class QuantileHead:
    """Regression: the mean and a lower and an upper quantile, whose distance from the truth is calibrated."""

    outputs: int = 3

    def loss(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Squared error of the mean plus the pinball losses of the two quantiles."""
        tail = (1 - COVERAGE) / 2
        pinball = sum(_pinball(target - outputs[:, index], level) for index, level in ((1, tail), (2, 1 - tail)))
        return functional.mse_loss(outputs[:, 0], target) + pinball

    def losses(self, outputs: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        return ((outputs[:, 0] - target).double() * scale).square()

    def score(self, mean_loss: float) -> float:
        """RMSE, in the target's unit."""
        return math.sqrt(mean_loss)

    def calibrate(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
        """The margin that gives intervals their coverage (conformalised quantile regression: Romano, Patterson, Candes 2019)."""
        outside = torch.maximum(outputs[:, 1:].amin(1) - target, target - outputs[:, 1:].amax(1))
        rank = min(math.ceil((len(target) + 1) * COVERAGE), len(target))
        return {"coverage": COVERAGE, "margin": float(outside.sort().values[rank - 1])}

    def point(self, outputs: torch.Tensor, calibration: dict[str, float]) -> torch.Tensor:
        return outputs[:, 0]

    def bounds(self, outputs: torch.Tensor, calibration: dict[str, float]) -> tuple[torch.Tensor, torch.Tensor] | None:
        lower, upper = outputs[:, 1:].amin(1) - calibration["margin"], outputs[:, 1:].amax(1) + calibration["margin"]
        # A negative margin may cross the bounds, and the mean of a skewed target may be outside its quantiles.
        return torch.minimum(lower, outputs[:, 0]), torch.maximum(upper, outputs[:, 0])


@dataclass(frozen=True)
class LogitHead:
    """Binary: one logit, whose scale and shift are calibrated; a probability has no interval."""

    outputs: int = 1

    def loss(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], target)

    def losses(self, outputs: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], target, reduction="none")

    def score(self, mean_loss: float) -> float:
        """The log loss itself."""
        return mean_loss

    def calibrate(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
        """Scale and shift of the logit by Newton's method on the log loss, with smoothed targets (Platt 1999)."""
        positives, hits = float(target.sum()), (target > 0.5).double()
        smooth = hits * ((positives + 1) / (positives + 2)) + (1 - hits) / (len(target) - positives + 2)
        design = torch.stack([outputs[:, 0], torch.ones_like(outputs[:, 0])], dim=1)
        weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
        for _ in range(50):
            probability = torch.sigmoid(design @ weights)
            gradient = design.T @ (probability - smooth)
            hessian = (design * (probability * (1 - probability))[:, None]).T @ design + 1e-6 * torch.eye(2, dtype=torch.float64)
            step = torch.linalg.solve(hessian, gradient)
            weights = weights - step
            if float(step.abs().max()) < 1e-10:
                break
        return {"scale": float(weights[0]), "shift": float(weights[1])}

    def point(self, outputs: torch.Tensor, calibration: dict[str, float]) -> torch.Tensor:
        return torch.sigmoid(outputs[:, 0] * calibration["scale"] + calibration["shift"])

    def bounds(self, outputs: torch.Tensor, calibration: dict[str, float]) -> tuple[torch.Tensor, torch.Tensor] | None:
        return None


def head_of(contract: Contract) -> Head:
    """The head of a project's task."""
    return QuantileHead() if contract.task == "regression" else LogitHead()


def build(contract: Contract, config: NetworkConfig) -> nn.Module:
    """A network for a project's task, with fresh weights from torch's seed."""
    return TabularNetwork(config, head_of(contract).outputs)


def _pinball(error: torch.Tensor, level: float) -> torch.Tensor:
    return torch.maximum(level * error, (level - 1) * error).mean()
