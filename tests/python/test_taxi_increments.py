"""New, late and corrected files: what is built step by step is what a full build gives, and only what is new is read."""

import re
import shutil
from pathlib import Path

import duckdb
import pytest
from conftest import Checkout, linked

from ml import simulate

pytestmark = pytest.mark.dbt

RELATIONS = (
    "int_taxi_trips", "int_taxi_duplicates", "int_taxi_provider_units", "int_taxi_kept", "int_taxi_counts", "taxi_clean",
    "taxi_quarantine", "taxi_quality", "taxi_bin_edges", "taxi_pair_history", "taxi_hour_history", "taxi_pair_hour_history",
    "taxi_features", "taxi_date_order",
)  # fmt: skip
BY_LOAD = ("int_taxi_trips", "int_taxi_kept", "int_taxi_counts")


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five simulated months, and a corrected second one: ten of its lines are gone, and five lines of the fourth are in it too."""
    folder = tmp_path_factory.mktemp("months")
    simulate.simulate("ml.simulate.taxi", 400_000, 7, folder, lambda *_: None)
    wanted = [folder / f"simulated_taxi_2016_0{month}.txt" for month in range(1, 6)]
    for path in folder.iterdir():
        if path not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    second, fourth = (wanted[number].read_text().splitlines() for number in (1, 3))
    (folder / "corrected").mkdir()
    (folder / "corrected" / wanted[1].name).write_text("\n".join([*second[:1], *second[11:], *fourth[1:6]]) + "\n")
    return folder


@pytest.fixture(scope="module")
def stepwise(months: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, dict[str, dict]]:
    """A warehouse that was built after each step, and the statements that it ran for the tables by load in each."""
    run = linked(tmp_path_factory.mktemp("stepwise"), "taxi")
    steps = {
        "first": [f"{months}/simulated_taxi_2016_0{month}.txt" for month in (2, 3, 4)],
        "later": [f"{months}/simulated_taxi_2016_05.txt"],
        "late": [f"{months}/simulated_taxi_2016_01.txt"],
        "corrected": [f"{months}/corrected/simulated_taxi_2016_02.txt"],
    }
    said = {}
    for name, files in steps.items():
        loads = run.json("ingest", "taxi", *files)["loads"]
        run.json("build", "taxi")
        statements = run.root / "workspaces/default/target/compiled/skewless/models/taxi/intermediate"
        said[name] = {"loads": loads, "sql": {model: (statements / f"{model}.sql").read_text() for model in BY_LOAD}}
    return run, said


@pytest.fixture(scope="module")
def at_once(months: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The same files, the corrected one among them, in one build."""
    run = linked(tmp_path_factory.mktemp("at_once"), "taxi")
    files = [f"{months}/simulated_taxi_2016_0{month}.txt" for month in (1, 3, 4, 5)]
    run.json("ingest", "taxi", *files, f"{months}/corrected/simulated_taxi_2016_02.txt")
    run.json("build", "taxi")
    return run


def test_step_by_step_equals_a_full_build(stepwise: tuple[Checkout, dict], at_once: Checkout) -> None:
    for relation in RELATIONS:
        sides = []
        for run in (stepwise[0], at_once):
            with duckdb.connect(f"{run.root}/workspaces/default/warehouse.duckdb", read_only=True) as alone:
                # The version holds the paths of the raw files, which differ.
                sides.append(sorted(map(repr, alone.execute(f"select columns(name -> name <> 'version') from {relation}").fetchall())))
        # So few trips leave no pair of zones with enough of them.
        assert (sides[0] or relation == "taxi_pair_history") and sides[0] == sides[1], relation


def test_a_later_file_is_read_alone(stepwise: tuple[Checkout, dict]) -> None:
    _, said = stepwise
    for step in ("later", "late", "corrected"):
        (load,) = said[step]["loads"]
        for model, sql in said[step]["sql"].items():
            (condition,) = re.findall(r"raw_load_id in \(([^)]*)\)", sql)
            asked = {name.strip(" '") for name in condition.split(",")}
            # The corrected file repeats trips of April: which of the two is kept is decided again there, and in no other file.
            others = (
                {next(load["load_id"] for load in said["first"]["loads"] if load["file"].endswith("_04.txt"))}
                if step == "corrected"
                else set()
            )
            assert load["load_id"] in asked and asked <= {load["load_id"], *(others if model != "int_taxi_trips" else ())}, (step, model)


def test_a_corrected_file_takes_the_place_of_the_other_and_the_other_is_kept_aside(stepwise: tuple[Checkout, dict]) -> None:
    run, said = stepwise
    first = next(load for load in said["first"]["loads"] if load["file"].endswith("_02.txt"))
    (corrected,) = said["corrected"]["loads"]
    assert corrected["replaced"] == first["load_id"] and corrected["rows"] == first["rows"] - 10 + 5
    assert (run.root / f"raw/taxi/_replaced/dc/{first['load_id']}.parquet").exists()
    with duckdb.connect(f"{run.root}/workspaces/default/warehouse.duckdb", read_only=True) as opened:
        loads = {load for (load,) in opened.execute("select distinct raw_load_id from int_taxi_trips").fetchall()}
        assert len(loads) == 5 and first["load_id"] not in loads and corrected["load_id"] in loads
        copies = opened.execute("select count(*) from int_taxi_duplicates where not is_exact").fetchone()
        assert copies is not None and copies[0] >= 5


def test_an_edited_rule_is_there_at_once_for_all_loads(months: Path, tmp_path: Path) -> None:
    run = linked(tmp_path, "taxi")
    (tmp_path / "models").unlink()
    shutil.copytree(Path(__file__).parents[2] / "models", tmp_path / "models")
    run.json(
        "ingest",
        "taxi",
        f"{months}/simulated_taxi_2016_01.txt",
        f"{months}/simulated_taxi_2016_03.txt",
        f"{months}/simulated_taxi_2016_05.txt",
    )
    before = run.json("build", "taxi")["books"]
    run.edit("models/taxi/intermediate/int_taxi_checked.sql", ">= 5e-4, true) as ok_ends_apart", ">= 2e-2, true) as ok_ends_apart")
    run.edit(
        "models/taxi/intermediate/int_taxi_checked.yml",
        "rule: {dimension: consistent, budget: 0.1, action: quarantine}",
        "rule: {dimension: consistent, budget: 0.9, action: quarantine}",
    )
    after = run.json("build", "taxi")["books"]
    assert after["raw"] == before["raw"] and after["clean"] < 0.8 * before["clean"]
    assert after["raw"] == after["clean"] + after["quarantine"] + after["duplicates"]
