"""The slices of a project: parts of its rows whose errors are reported separately."""

import itertools
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import encoding
from ml.contract import Slice


def labels(slice_: Slice, batch: pa.RecordBatch) -> np.ndarray:
    """The slice that each row belongs to, text [rows]: a category, a month such as 2013-08, or a band such as 15 to 60."""
    if slice_.by == "month":
        return np.array([str(value) for value in pc.strftime(batch[slice_.column], format="%Y-%m").to_pylist()])
    if slice_.by == "band":
        return _bands(encoding.column(batch, slice_.column), slice_.edges)
    return np.array([str(value) for value in batch[slice_.column].to_pylist()])


def in_order(label: str) -> tuple[float, str]:
    """A key to sort labels by: bands by their lower edge, everything else by its name."""
    band = re.fullmatch(r"(below )?(-?[\d.e+]+)( to .*| and more)?", label)
    if band is None or not (band[1] or band[3]):
        return math.inf, label
    return (-math.inf if band[1] else float(band[2])), label


def _bands(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """The lower edge belongs to a band, the upper one to the next."""
    limits = [-math.inf, *edges, math.inf]
    names = [
        f"below {edges[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)),
        f"{edges[-1]:g} and more",
    ]
    index = np.clip(np.searchsorted(limits, values, side="right") - 1, 0, len(names) - 1)
    return np.where(np.isnan(values), "missing", np.array(names)[index])
