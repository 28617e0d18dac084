"""What the calibration half of validation says: margins of intervals, or the scale of a logit."""

import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from ml import dataset
from ml.contract import Contract
from ml.encoding import Encoding
from ml.errors import SkewlessError

COVERAGE = 0.9


@torch.no_grad()
def calibrate(model: nn.Module, contract: Contract, fitted: Encoding, batches: Iterable[pa.RecordBatch]) -> dict[str, float]:
    """What the calibration half says. Regression: the margin, in the target's unit, that gives intervals their coverage
    (conformalised quantile regression: Romano, Patterson, Candes 2019). Binary: scale and shift of the logit (Platt 1999).
    """
    model.eval()
    outputs, targets = [], []
    for batch in batches:
        tensors = dataset.tensors(batch, fitted)
        outputs.append(model(tensors.numerical, tensors.categorical).double())
        targets.append(tensors.target.double())
    answers, target = torch.cat(outputs), torch.cat(targets)
    if not len(target):
        raise SkewlessError("the calibration half of validation is empty", "the project has too few groups; split by a finer one")
    if contract.task == "binary":
        scale, shift = _platt(answers[:, 0].numpy(), target.numpy())
        return {"scale": scale, "shift": shift, "rows": len(target)}
    outside = torch.maximum(answers[:, 1:].amin(1) - target, target - answers[:, 1:].amax(1))
    rank = min(math.ceil((len(target) + 1) * COVERAGE), len(target))
    return {"coverage": COVERAGE, "margin": float(outside.sort().values[rank - 1]) * fitted.target_std, "rows": len(target)}


def _platt(logits: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Scale and shift of the logit by Newton's method on the log loss, with Platt's smoothed targets."""
    positives = float(target.sum())
    smooth = np.where(target > 0.5, (positives + 1) / (positives + 2), 1 / (len(target) - positives + 2))
    weights = np.array([1.0, 0.0])
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    for _ in range(50):
        probability = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (probability - smooth)
        hessian = (design * (probability * (1 - probability))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(weights[0]), float(weights[1])
