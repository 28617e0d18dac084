"""What the calibration half of validation says: the numbers that a head's predictions and intervals need."""

from collections.abc import Iterable

import pyarrow as pa
import torch
from torch import nn

from ml import dataset
from ml.encoding import Encoding
from ml.errors import SkewlessError
from ml.network import Head


@torch.no_grad()
def calibrate(model: nn.Module, head: Head, fitted: Encoding, batches: Iterable[pa.RecordBatch]) -> dict[str, float]:
    """The head's own numbers, in the network's scale, and how many rows they are from."""
    model.eval()
    outputs, targets = [], []
    for batch in batches:
        tensors = dataset.tensors(batch, fitted)
        outputs.append(model(tensors.numerical, tensors.categorical).double())
        targets.append(tensors.target.double())
    if not sum(map(len, targets)):
        raise SkewlessError("the calibration half of validation is empty", "the project has too few groups; split by a finer one")
    return {**head.calibrate(torch.cat(outputs), torch.cat(targets)), "rows": sum(map(len, targets))}
