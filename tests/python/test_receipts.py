"""Results do not outlive the code behind them: receipts by code, the smoke test before promotion, two runs side by side."""

import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Checkout

PARSE = "ml/online/parse.py"
INTEGER = "    return int(value)\n"
ROWS = "        rows = payload if isinstance(payload, list) else [payload]\n"


def champion(lived: Checkout) -> str:
    return str(json.loads((lived.own / "champion").read_text())["version"])


@pytest.fixture
def edited(lived: Checkout):
    """Edit files of the checkout for one test."""
    originals: dict[Path, str] = {}

    def edit(path: str, old: str, new: str) -> None:
        originals.setdefault(lived.folder / path, (lived.folder / path).read_text())
        lived.edit(path, old, new)

    yield edit
    for path, text in originals.items():
        path.write_text(text)


def test_code_that_answers_otherwise_than_the_warehouse_ends_the_run(lived: Checkout, edited) -> None:
    lived.skewless("build", "toy")  # the copied checkout has another path, which is in the views
    before = champion(lived)
    edited(PARSE, INTEGER, "    return int(value) + 1\n")
    said = lived.skewless("run", "toy", "--no-page", code=3)
    assert "the receipt refuses: weight_kg differs in" in said and champion(lived) == before
    for verb in ("serve", "predict", "rollback"):
        more = {"serve": ["--port", "3997"], "predict": [str(lived.folder / "dbt_project.yml")]}.get(verb, [])
        if verb == "predict":
            (lived.folder / "in.csv").write_text("sent_at,depot\n2024-03-05T14:30:00,A\n")
            more = [str(lived.folder / "in.csv"), "-o", str(lived.folder / "out.csv")]
        if verb == "rollback":
            record = json.loads((lived.own / "champion").read_text())
            (lived.own / "champion").write_text(json.dumps({**record, "history": [before]}))
        refused = lived.skewless(verb, "toy", *more, code=3)
        assert "has no receipt for this code" in refused and f"skewless package toy --bundle {before}" in refused, verb
    (lived.own / "champion").write_text(json.dumps(record))
    assert "the receipt refuses" in lived.skewless("package", "toy", "--bundle", before, code=3)


def test_changed_code_that_answers_alike_is_certified_again_from_the_kept_snapshot(lived: Checkout, edited) -> None:
    version = champion(lived)
    receipts = lived.own / "receipts" / version
    known = {path.name for path in receipts.iterdir()}
    edited(PARSE, INTEGER, "    whole = int(value)\n    return whole\n")
    assert "has no receipt for this code" in lived.skewless("serve", "toy", "--check", code=3)
    assert lived.json("package", "toy", "--bundle", version)["bundle"] == version
    assert len({path.name for path in receipts.iterdir()} - known) == 1
    assert lived.json("package", "toy", "--bundle", version)["unchanged"]


def test_a_comment_needs_no_new_receipt(lived: Checkout, edited) -> None:
    edited(PARSE, INTEGER, "    # whole by now\n    return int(value)\n")
    assert lived.json("package", "toy", "--bundle", champion(lived))["unchanged"]


def test_one_refused_held_back_row_fails_the_smoke_test_and_promotes_nothing(lived: Checkout, edited) -> None:
    before = champion(lived)
    (requests,) = (lived.own / "snapshots").glob("*/requests.parquet")
    grams = next(row["weight_g"] for row in pq.read_table(requests).to_pylist() if row["split"] == "test" and row["weight_g"])
    spoiled = f'[{{**row, "weight_g": 10**7}} if row.get("weight_g") == {grams} else row for row in rows]'
    edited("serving/app.py", ROWS, f"{ROWS}        rows = {spoiled}\n")
    said = lived.skewless("run", "toy", "--no-page", code=3)
    assert "the service refuses" in said and "weight_g" in said and champion(lived) == before
    assert "promote" not in said


def test_two_trainings_in_one_workspace_do_not_mix(lived: Checkout) -> None:
    commands = [lived.command("train", "toy", "--epochs", "2", "--seed", seed, "--json") for seed in ("11", "12")]
    running = [
        subprocess.Popen(command, cwd=lived.folder, env=lived.environment(), stdout=subprocess.PIPE, text=True) for command in commands
    ]
    runs = [json.loads(process.communicate(timeout=300)[0])["run"] for process in running]
    assert len(set(runs)) == 2
    for run, seed in zip(runs, (11, 12), strict=True):
        record = json.loads((lived.own / "runs" / run / "training.json").read_text())
        assert record["id"] == run and record["config"]["seed"] == seed
        evaluated, packaged = lived.json("evaluate", "toy", "--run", run), lived.json("package", "toy", "--run", run)
        assert evaluated["run"] == run
        about = json.loads((lived.own / "bundles" / packaged["bundle"] / "bundle.json").read_text())
        assert about["run"] == run and about["snapshot"] == record["snapshot"]


@pytest.mark.parametrize(
    ("verb", "option"),
    [("train", "--snapshot"), ("evaluate", "--run"), ("package", "--run"), ("package", "--bundle"), ("serve", "--bundle")],
)
def test_an_id_that_is_not_stored_is_refused_by_name(lived: Checkout, verb: str, option: str) -> None:
    said = lived.skewless(verb, "toy", option, "000000000000", code=3 if verb == "serve" else 2)
    assert "000000000000" in said and "do:" in said
