"""Features → predictions: the network of a run or a bundle with its encoding and its calibration."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load_file
from torch import nn

from ml import encoding, network
from ml.contract import Contract
from ml.encoding import Encoding
from ml.network import NetworkConfig


@dataclass(frozen=True)
class Model:
    """A network that answers: weights, encoding, calibration."""

    contract: Contract
    network: nn.Module
    encoding: Encoding
    calibration: dict[str, float]


@dataclass(frozen=True)
class Predictions:
    """float64 [rows] each; regression has an interval, binary a probability alone."""

    prediction: np.ndarray
    lower: np.ndarray | None
    upper: np.ndarray | None

    def only(self, mask: np.ndarray) -> "Predictions":
        """Those of some rows; `mask`: bool [rows]."""
        return Predictions(
            self.prediction[mask], None if self.lower is None else self.lower[mask], None if self.upper is None else self.upper[mask]
        )


def load_network(folder: Path, contract: Contract) -> Model:
    """The network of a run or of a bundle, ready to answer."""
    shape = json.loads((folder / "network.json").read_text())
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in shape.items()}
    module = network.build(contract, NetworkConfig(**fields))
    module.load_state_dict(load_file(folder / "weights.safetensors"))
    fitted = encoding.from_json((folder / "encoding.json").read_text())
    return Model(contract, module.eval(), fitted, json.loads((folder / "calibration.json").read_text()))


@torch.inference_mode()
def predict(model: Model, features: pa.Table | pa.RecordBatch) -> Predictions:
    """Answers for feature rows, in the target's own unit."""
    numerical, categorical = encoding.encode(model.encoding, features)
    outputs = model.network(torch.from_numpy(numerical), torch.from_numpy(categorical)).double().numpy()
    if model.contract.task == "binary":
        logit = outputs[:, 0] * model.calibration["scale"] + model.calibration["shift"]
        return Predictions(1 / (1 + np.exp(-logit)), None, None)
    fitted = model.encoding
    values = outputs * fitted.target_std + fitted.target_mean + encoding.offset(features, fitted.baseline)[:, None]
    lower, upper = values[:, 1:].min(1) - model.calibration["margin"], values[:, 1:].max(1) + model.calibration["margin"]
    # A negative margin may cross the bounds, and the mean of a skewed target may lie outside its quantiles.
    return Predictions(values[:, 0], np.minimum(lower, values[:, 0]), np.maximum(upper, values[:, 0]))
