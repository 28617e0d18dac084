"""Permutation importance: how much the validation error grows when a feature, or a family of them, is shuffled among the rows.

A shuffled feature keeps its values and loses its meaning, so the network need not be trained again (Breiman, Random
forests, 2001). The test split is not read. Features that say the same thing hide each other; families show that.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from ml import contract as contracts
from ml import dataset, predictor, provenance, records, storage
from ml.contract import Contract
from ml.evaluate import snapshot_of
from ml.hashing import hash_tree
from ml.metrics import Answers, Difference, answers_of, difference, loss, metric_name, summary
from ml.places import Places
from ml.results import Ablation, Change
from ml.storage import Storage

MAX_ROWS = 100_000  # a prefix of the shards is a random sample
SHUFFLES = 3
Progress = Callable[[str, float, float], None]


def ablate(where: Storage, project: str, run: str, progress: Progress) -> tuple[Ablation, bool]:
    """The importance of each feature and each family in a run, and whether it was known already."""
    places = Places(where, project)
    trained, snapshot = storage.fetch(where, places.run(run)), snapshot_of(places, run)
    code, key = provenance.key("ml.evaluate.permutation", run=hash_tree(trained), snapshot=snapshot), places.ablation(run)
    known = storage.read_json(where, key)
    if known and known.get("code") == code:
        return records.from_json(Ablation, known), True
    folder = storage.fetch(where, places.snapshot(snapshot))
    contract = contracts.load(folder / "contract.json")
    model = predictor.load_network(trained, contract)
    table = pa.Table.from_batches(dataset.first(dataset.record_batches(folder, "validation"), MAX_ROWS))
    truth = np.concatenate([dataset.target_values(batch, contract.only("target")) for batch in table.to_batches()])
    groups = [str(value) for value in table[contract.only("group")].to_pylist()]

    def answers(features: pa.Table) -> Answers:
        return answers_of(truth, predictor.predict(model, features).prediction, groups)

    whole, parts = answers(table), _parts(contract)
    rows = []
    for number, (kind, name, features) in enumerate(parts):
        change = _change(table, features, whole, answers, contract.task)
        rows.append(Change(name, kind, features, change.point, change.interval, change.interval[0] > 0))
        progress("shuffling features", number + 1, len(parts))
    record = Ablation(
        project=project,
        run=run,
        code=code,
        metric=metric_name(contract.task),
        rows_read=len(truth),
        groups=whole.groups,
        error=summary(loss(whole, contract.task).mean(), contract.task),
        rows=tuple(sorted(rows, key=lambda row: -row.change)),
    )
    storage.write_json(where, key, records.to_json(record))
    return record, False


def _parts(contract: Contract) -> list[tuple[str, str, tuple[str, ...]]]:
    """Every feature alone, then every family of more than one."""
    families: dict[str, list[str]] = {}
    for column in contract.features:
        families.setdefault(column.family, []).append(column.name)
    several = [("family", name, tuple(members)) for name, members in sorted(families.items()) if name and len(members) > 1]
    return [*(("feature", column.name, (column.name,)) for column in contract.features), *several]


def _change(table: pa.Table, features: tuple[str, ...], whole: Answers, answers: Callable[[pa.Table], Answers], task: str) -> Difference:
    """The mean over a few shuffles; members of a family move together, as one row's values."""
    points, lows, highs = [], [], []
    for draw in range(SHUFFLES):
        order = pa.array(np.random.default_rng(draw).permutation(table.num_rows))
        shuffled = table
        for name in features:
            place = shuffled.column_names.index(name)
            shuffled = shuffled.set_column(place, shuffled.field(place), shuffled[name].take(order))
        gap = difference(answers(shuffled), whole, task)
        points.append(gap.point)
        lows.append(gap.interval[0])
        highs.append(gap.interval[1])
    return Difference(float(np.mean(points)), (float(np.mean(lows)), float(np.mean(highs))))
