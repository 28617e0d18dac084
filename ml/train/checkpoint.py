"""All that continues a training run, in one atomic file: weights, the best weights, the optimizer's moments, the history."""

import json
import logging
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import nn

from ml import storage
from ml.storage import Storage

log = logging.getLogger(__name__)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's tensors, on the CPU."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}


def save(where: Storage, key: str, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write the checkpoint; `state` holds best (weights), best_epoch, best_score and history."""
    tensors = {f"model/{name}": value for name, value in weights(model).items()}
    tensors |= {f"best/{name}": value for name, value in state["best"].items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value.detach().cpu().clone() for name, value in moments.items()}
    about = {name: json.dumps(state[name]) for name in ("history", "best_epoch", "best_score")}
    storage.write_file(where, key, lambda path: path.write_bytes(serialise(tensors, about)))


def resume(where: Storage, key: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Load a checkpoint into a network and its optimizer; the state, or None where there is no checkpoint."""
    if not storage.exists(where, key):
        return None
    path = storage.fetch(where, key)
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        state = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}

    def under(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    model.load_state_dict(under("model/"))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in under("optimizer/").items():
        index, _, kind = name.partition("/")
        moments.setdefault(int(index), {})[kind] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    log.info("continuing from the checkpoint %s, after %d epochs", path, len(state["history"]))
    return {**state, "best": under("best/")}
