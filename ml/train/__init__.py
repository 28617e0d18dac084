"""The training loop: the weights depend on nothing but snapshot, settings and code."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save
from torch import nn

from ml import contract as contracts
from ml import dataset, encoding, network, provenance, storage
from ml.contract import Contract
from ml.dataset import Batch
from ml.encoding import UNKNOWN, Encoding
from ml.errors import SkewlessError, UsageError
from ml.network import Head, NetworkConfig
from ml.places import Places, make_current
from ml.storage import Storage
from ml.train import checkpoint
from ml.train.calibration import calibrate

EPOCH_STEPS, MIN_BATCH = 200, 128
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run. The seed is a constant, never chosen by its outcome."""

    epochs: int = 12
    patience: int = 6
    batch_size: int = 1024  # at most: with fewer rows it is smaller, so that an epoch has some EPOCH_STEPS steps
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    unknown_share: float = 0.01  # of categories replaced by unknown, so that the unknown row learns what "any" means
    seed: int = 0
    sample: float = 1.0  # share of the train split, by the sample hash: a smaller sample is part of a larger one


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    id: str
    key: str
    epochs: int
    best_epoch: int
    score: float
    rows: int
    unchanged: bool


def train(where: Storage, project: str, snapshot_id: str, config: TrainConfig, progress: Progress, current: bool = True) -> Run:
    """Train on a snapshot; a run with the same snapshot, settings and code is not repeated.

    A checkpoint is left after each epoch: the same command continues a killed run to the same weights. `current`: whether
    evaluate and package mean this run from now on.

    Raises:
        UsageError: for a sample outside (0, 1].
    """
    if not 0 < config.sample <= 1:
        raise UsageError(f"--sample must be in (0, 1], got {config.sample:g}", "0.01 trains on a hundredth of the rows")
    places = Places(where, project)
    folder = storage.fetch(where, places.snapshot(snapshot_id))
    contract = contracts.load(folder / "contract.json")
    settings_ = asdict(config)
    run_id = provenance.key("ml.train", snapshot=snapshot_id, settings=settings_, device=device().type)
    key = places.run(run_id)
    record = storage.read_json(where, f"{key}/training.json")
    if record is None:
        with storage.staging(where, key) as out:
            record = _train(where, contract, folder, config, places.checkpoint(run_id), out, progress)
            record = {"id": run_id, "snapshot": snapshot_id, "config": settings_, **record}
            storage.write_local_json(out / "training.json", record)
        storage.remove(where, places.checkpoint(run_id))
        unchanged = False
    else:
        unchanged = True
    if current:
        make_current(places, "run", run_id)
    return Run(run_id, key, len(record["history"]), record["best_epoch"], record["best_score"], record["rows"], unchanged)


def _train(
    where: Storage, contract: Contract, folder: Path, config: TrainConfig, checkpoint_key: str, out: Path, progress: Progress
) -> dict[str, Any]:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on a graphics card ask for
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # sums over another number of threads differ in the last bits
    torch.manual_seed(config.seed)
    rows = dataset.count_sampled(folder, contract, config.sample)
    if not rows:
        raise SkewlessError(f"a sample of {config.sample:g} holds no row of the train split", "choose a larger one")
    config = replace(config, batch_size=batch_size_for(rows, config.batch_size))
    fitted = encoding.fit(contract, dataset.sampled(folder, contract, config.sample))
    shape = NetworkConfig(width=fitted.width, cardinalities=fitted.cardinalities)
    model, head = network.build(contract, shape).to(device()), network.head_of(contract)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    state = checkpoint.resume(where, checkpoint_key, model, optimizer) or {
        "history": [],
        "best": checkpoint.weights(model),
        "best_epoch": 0,
        "best_score": math.inf,
    }

    for epoch in range(len(state["history"]), config.epochs):
        if epoch - state["best_epoch"] > config.patience:
            break
        torch.manual_seed(config.seed + 1_000_003 * (epoch + 1))  # dropout depends on the epoch alone, so that a resumed run repeats it
        shards = dataset.sampled(folder, contract, config.sample)
        batches = dataset.training_batches(shards, fitted, config.batch_size, config.seed, epoch)
        loss = _epoch(model, head, optimizer, batches, config, epoch, rows, progress)
        score = _score(model, head, fitted, dataset.validation_half(folder, contract, "tuning"))
        if not math.isfinite(loss) or not math.isfinite(score):
            raise SkewlessError(
                f"training diverged in epoch {epoch + 1}: loss {loss}, validation {score}",
                "lower the learning rate, or look for extreme values among the features",
            )
        state["history"].append({"epoch": epoch, "loss": loss, "validation": score})
        if score < state["best_score"]:
            state.update(best=checkpoint.weights(model), best_epoch=epoch, best_score=score)
        checkpoint.save(where, checkpoint_key, model, optimizer, state)

    model.load_state_dict(state["best"])
    model.cpu()
    calibration = calibrate(model, head, fitted, dataset.validation_half(folder, contract, "calibration"))
    (out / "weights.safetensors").write_bytes(save(state["best"]))  # its own writer has errors of its own for a full disk
    storage.write_local_json(out / "network.json", asdict(shape))
    storage.write_local_json(out / "calibration.json", calibration)
    (out / "encoding.json").write_text(encoding.to_json(fitted))
    return {"best_epoch": state["best_epoch"], "best_score": state["best_score"], "rows": rows, "history": state["history"]}


def batch_size_for(rows: int, most: int) -> int:
    """The power of two that makes some EPOCH_STEPS steps of so many rows, between MIN_BATCH and `most`."""
    return min(most, max(MIN_BATCH, int(2 ** round(math.log2(rows / EPOCH_STEPS)))))


def _epoch(
    model: nn.Module,
    head: Head,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    config: TrainConfig,
    epoch: int,
    rows: int,
    progress: Progress,
) -> float:
    """One pass; the mean loss. The learning rate follows a cosine of the share of all epochs that is done."""
    model.train()
    place = next(model.parameters()).device
    steps, total, done = math.ceil(rows / config.batch_size), 0.0, 0
    for step, batch in enumerate(batches):
        share = (epoch + min(step / steps, 1.0)) / config.epochs
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        hidden = torch.rand(batch.categorical.shape) < config.unknown_share
        outputs = model(batch.numerical.to(place), batch.categorical.masked_fill(hidden, UNKNOWN).to(place))
        loss = head.loss(outputs, batch.target.to(place))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += float(loss.detach()) * len(batch.target)
        done += len(batch.target)
        progress(f"epoch {epoch + 1} of at most {config.epochs}", done, rows)
    return total / max(done, 1)


@torch.no_grad()
def _score(model: nn.Module, head: Head, fitted: Encoding, batches: Iterable[pa.RecordBatch]) -> float:
    """What early stopping looks at, lower is better: of the task's own heads RMSE in the target's unit, or log loss."""
    model.eval()
    place = next(model.parameters()).device
    total, count = 0.0, 0
    for batch in batches:
        tensors = dataset.tensors(batch, fitted)
        outputs = model(tensors.numerical.to(place), tensors.categorical.to(place)).cpu()
        total += float(head.losses(outputs, tensors.target, fitted.target_std).sum())
        count += batch.num_rows
    if not count:
        raise SkewlessError("the tuning half of validation is empty", "the project has too few groups; split by a finer one")
    return head.score(total / count)


def settings(where: Storage, project: str, snapshot_id: str, **given: Any) -> TrainConfig:
    """The settings of a run on a snapshot: what the caller gives before what the project declares in `meta.ml.train`."""
    folder = storage.fetch(where, Places(where, project).snapshot(snapshot_id))
    return with_changes(TrainConfig(**contracts.load(folder / "contract.json").train), **given)


def with_changes(config: TrainConfig, **changes: Any) -> TrainConfig:
    """The settings with those replaced that are not None."""
    return replace(config, **{name: value for name, value in changes.items() if value is not None})


def device() -> torch.device:
    """Where the network is trained: the machine's accelerator, if it has one."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")
