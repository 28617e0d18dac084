"""The network. This is the file to replace: keep `NetworkConfig`, `build` and the shapes of `forward`."""

from dataclasses import dataclass

import torch
from torch import nn

from ml.contract import Contract


@dataclass(frozen=True)
class NetworkConfig:
    """`width` and `cardinalities` come from the data; the rest is yours."""

    width: int  # columns of the numerical matrix
    cardinalities: tuple[int, ...]  # codes of each categorical feature
    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.3


class TabularNetwork(nn.Module):
    """Embedded categories beside the numerical columns, through plain layers."""

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
        """[rows, width] float32 and [rows, categories] int64 → [rows, outputs] float32.

        Regression: mean, lower and upper quantile of the standardised target. Binary: one logit.
        """
        parts = [numerical, *(embedding(categorical[:, i]) for i, embedding in enumerate(self.embeddings))]
        return self.head(self.body(torch.cat(parts, dim=1)))


def build(contract: Contract, config: NetworkConfig) -> nn.Module:
    """A network for a project's task, with fresh weights from torch's seed."""
    return TabularNetwork(config, outputs=3 if contract.task == "regression" else 1)
