"""The gate between packaged and champion: a worse challenger is not promoted, unless it is forced, and that is recorded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Checkout
from hypothesis import given
from hypothesis import strategies as st

from ml import bundle, gate, registry, storage
from ml.bundle import Bundle, receipt
from ml.contract import Column
from ml.hashing import hash_tree
from ml.metrics import Difference
from ml.places import Places
from ml.results import Comparison

FEATURES = "models/toy/marts/toy_features.sql"
BASE = Comparison("new", "old", False, "", "", "", metric="rmse", rows=40, groups=10, group="sent_on")


def champion(lived: Checkout) -> dict:
    return json.loads((lived.own / "champion").read_text())


def packaged(lived: Checkout, *options: str) -> str:
    lived.skewless("train", "toy", *options)
    return lived.json("package", "toy")["version"]


def loaded(lived: Checkout) -> tuple[Bundle, Path]:
    """The champion, and its snapshot."""
    where = storage.open_storage(str(lived.root), "default")
    opened = receipt.load(Places(where, "toy"), registry.champion_folder(where, "toy"))
    about = json.loads((opened.folder / "bundle.json").read_text())
    return opened, lived.own / "snapshots" / about["snapshot"]


@given(st.floats(0.1, 100), st.floats(-0.05, 0.05), st.floats(0, 0.05), st.floats(0, 1))
def test_a_challenger_is_refused_beyond_doubt_or_past_a_share_of_the_error(error: float, share: float, left: float, right: float) -> None:
    point, low, high = share * error, (share - left) * error, (share + right) * error
    found = gate.judged(BASE, 9.0, error, Difference(point, (low, high)))
    assert found.ok == (low <= 0 and point / error <= gate.MAX_WORSE)
    assert bool(found.why) != found.ok


def test_the_champion_itself_is_unchanged_and_compared_with_none(lived: Checkout) -> None:
    record = champion(lived)
    assert lived.json("promote", "toy")["unchanged"] and champion(lived) == record
    assert record["comparison"] is None and record["came"] == {record["version"]: "the first"}


def test_an_undertrained_challenger_is_refused_and_the_champion_stays(lived: Checkout) -> None:
    before = champion(lived)
    worse = packaged(lived, "--epochs", "1")
    said = " ".join(lived.skewless("promote", "toy", code=3).split())
    found = json.loads((lived.own / "comparisons" / f"{worse}-{before['version']}.json").read_text())
    for number in (found["challenger_error"], found["champion_error"]):
        assert f"{number:.4g}" in said
    assert found["difference"]["point"] > 0 and f"{found['difference']['point']:+.3g} [" in said
    assert "on 40 test rows in 10 groups by sent_on" in said and f"--bundle {worse} --force" in said
    assert found["asked"] == "all rows of the test split" and champion(lived) == before


def test_force_promotes_and_is_recorded(lived: Checkout) -> None:
    before = champion(lived)["version"]
    forced = lived.json("promote", "toy", "--force")
    record = champion(lived)
    assert forced["forced"] and record["forced"] and record["version"] == forced["version"] != before
    assert record["comparison"]["champion"] == before and not record["comparison"]["ok"]
    came = {version["version"]: version["came"] for version in lived.json("models", "toy")["versions"]}
    assert came[before] == "the first" and came[forced["version"]].startswith("forced, +")
    assert lived.json("rollback", "toy")["version"] == before
    assert not champion(lived)["forced"] and champion(lived)["came"][before] == f"rolled back from {forced['version']}"


def test_a_challenger_with_features_of_its_own_passes_if_it_is_equal(lived: Checkout) -> None:
    lived.edit(FEATURES, "/ 1000e0 as weight_kg", "/ 500e0 as weight_kg")
    for verb in ("build", "snapshot"):
        lived.skewless(verb, "toy")
    packaged(lived, "--epochs", "1")
    assert "is worse than the champion" in lived.skewless("promote", "toy", code=3)
    equal = packaged(lived)
    done = lived.json("promote", "toy")
    assert done["version"] == equal and not done["forced"] and done["comparison"]["ok"]
    assert done["comparison"]["asked"] == "the frozen request rows of the test split" and done["comparison"]["rows"] == 40
    assert abs(done["comparison"]["difference"]["point"]) < 1e-4
    assert champion(lived)["comparison"] == done["comparison"]


def test_run_leaves_the_champion_where_the_gate_says_no(lived: Checkout) -> None:
    before = champion(lived)
    done = lived.json("run", "toy", "--epochs", "1", "--no-page", code=3)
    assert f"toy:{before['version']} stays champion" in done["summary"]
    assert done["steps"]["promote"]["refused"] and done["steps"]["package"]["version"] != before["version"]
    assert done["steps"]["serve"]["model_version"] == done["steps"]["package"]["version"]  # asked before it could be promoted
    assert champion(lived)["version"] == before["version"]
    assert "drift" in done["steps"]


def test_both_ways_of_asking_give_the_same_answers(lived: Checkout) -> None:
    opened, frozen = loaded(lived)
    answers = []
    for rows in (gate.shard_rows, gate.request_rows):
        parts = list(rows(opened, opened, frozen, lambda *_: None))
        truth, new, old, groups = (np.concatenate(column) for column in zip(*(part for part, _ in parts), strict=True))
        assert len(truth) == 40 and sum(left_out for _, left_out in parts) == 0 and (new == old).all()
        answers.append(sorted(zip(groups.tolist(), truth.tolist(), new.round(6).tolist(), strict=True)))
    assert answers[0] == answers[1]


def test_rows_that_one_of_the_two_refuses_are_left_out_and_counted(lived: Checkout, tmp_path: Path) -> None:
    opened, frozen = loaded(lived)
    folder = Path(shutil.copytree(frozen, tmp_path / "snapshot"))
    table = pq.read_table(folder / "requests.parquet")
    tests = [index for index, split in enumerate(table["split"].to_pylist()) if split == "test"]
    weights = [99_000 if index in tests[:3] else value for index, value in enumerate(table["weight_g"].to_pylist())]
    changed = table.set_column(table.schema.get_field_index("weight_g"), "weight_g", pa.array(weights, pa.int32()))
    pq.write_table(changed, folder / "requests.parquet")
    ((part, left_out),) = gate.request_rows(opened, opened, folder, lambda *_: None)
    assert left_out == 3 and [len(column) for column in part] == [37] * 4


@pytest.mark.parametrize("required", [True, False])
def test_an_input_that_the_rows_do_not_have_is_null_for_the_champion(lived: Checkout, required: bool) -> None:
    opened, frozen = loaded(lived)
    column = Column("handler", "text", "input", required=required)
    older = replace(opened, contract=replace(opened.contract, inputs=(*opened.contract.inputs, column)))
    ((part, left_out),) = gate.request_rows(opened, older, frozen, lambda *_: None)
    assert left_out == 0 and len(part[0]) == 40


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json"])
def test_a_champion_that_cannot_be_loaded_protects_nothing_and_the_record_says_so(lived: Checkout, tmp_path: Path, name: str) -> None:
    opened, _ = loaded(lived)
    folder = Path(shutil.copytree(opened.folder, tmp_path / "lost"))
    if name == "weights.safetensors":
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    else:  # what a changed ml/network.py does to the versions before it
        about = json.loads((folder / "bundle.json").read_text())
        shape = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**shape, "width": shape["width"] + 1}))
        files = {**about["files"], name: hash_tree(folder)[name]}
        identity = bundle._content_id("toy", about["run"], about["snapshot"], files)
        (folder / "bundle.json").write_text(json.dumps({**about, "id": identity, "files": files}))
        folder = folder.rename(folder.with_name(identity))
    where = storage.open_storage(str(lived.root), "default")
    places = Places(where, "toy")
    found = gate.compare(places, opened.folder, folder, lambda *_: None)
    assert found.ok and "cannot be loaded" in found.says
    assert not storage.exists(where, places.comparison(opened.id, folder.name))
