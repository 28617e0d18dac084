"""The real flights, all 336,776 of them, from the package's files to the service's answers."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from conftest import CHECKOUT, Checkout, linked

pytestmark = pytest.mark.dbt


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The whole life of the real project, once."""
    folder = tmp_path_factory.mktemp("flights")
    run = linked(folder, "flights")
    (folder / "run.json").write_text(json.dumps(run.json("run", "flights", "--no-page")))
    return run


@pytest.fixture(scope="module")
def steps(flights: Checkout) -> dict:
    return json.loads((flights.folder / "run.json").read_text())["steps"]


@pytest.fixture(scope="module")
def warehouse(flights: Checkout) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(flights.root / "workspaces/default/warehouse.duckdb"), read_only=True)


def test_every_flight_of_the_year_is_accounted_for(steps: dict) -> None:
    assert steps["build"]["books"] == {"raw": 336_776, "clean": 327_346, "quarantine": 9_430, "duplicates": 0}
    assert steps["ingest"]["rejects"] == 0 and steps["ingest"]["rows"] == 336_776 + 16 + 1_458 + 3_322 + 26_115


def test_raw_keeps_the_files_own_text(flights: Checkout) -> None:
    raw = f"read_parquet('{flights.root}/raw/flights/flights/*.parquet')"
    kinds = duckdb.sql(f"select distinct column_type from (describe select * exclude (raw_row) from {raw})").fetchall()
    (nulls,) = duckdb.sql(f"select count(*) from {raw} where arr_delay = 'NA'").fetchone() or (0,)
    assert kinds == [("VARCHAR",)] and nulls == 9_430


def test_the_receipt_covers_ten_thousand_real_rows(steps: dict) -> None:
    receipt = steps["package"]["receipt"]
    assert receipt["ok"] and receipt["rows"] >= 10_000 and receipt["refused"] == 0 and len(receipt["features"]) >= 25


def test_held_back_flights_are_answered_about_as_well_as_test_says(steps: dict) -> None:
    served = steps["serve"]
    assert served["answered"] == served["asked"] > 3_000
    assert served["rmse"] == pytest.approx(steps["evaluate"]["out_of_time"]["rmse"], rel=0.15)


def test_evaluate_prints_the_object_that_was_promised(flights: Checkout) -> None:
    said = flights.json("evaluate", "flights")
    assert {"rmse", "mae", "coverage"} <= set(said["test"]) and said["out_of_time"]["rmse"] > 0
    for name in ("mean", "linear", "gradient_boosting"):
        assert said["baselines"][name]["test"]["rmse"] > 0 and said["baselines"][name]["out_of_time"]["rmse"] > 0
    assert 0.8 < said["test"]["coverage"] < 0.97
    assert said["test"]["rmse"] < said["baselines"]["linear"]["test"]["rmse"] < said["baselines"]["mean"]["test"]["rmse"]


def test_the_gates_hold_and_every_slice_has_its_error_and_coverage(flights: Checkout) -> None:
    said = flights.json("evaluate", "flights")
    assert [(gate["name"], gate["ok"]) for gate in said["gates"]] == [
        ("boosting", True),
        ("linear_out_of_time", True),
        ("coverage", True),
    ]
    slices = said["test"]["slices"]
    assert list(slices) == ["carrier", "origin", "month", "departure_delay_minutes"]
    assert set(slices["departure_delay_minutes"]) == {"below 0", "0 to 15", "15 to 60", "60 to 180", "180 and more"}
    assert all(sum(entry["rows"] for entry in entries.values()) == said["test"]["rows"] for entries in slices.values())
    assert all(0.7 < entry["coverage"] < 1 for entry in slices["departure_delay_minutes"].values())


def test_five_dimensions_are_guarded_and_the_audit_finds_the_splits_fair(warehouse: duckdb.DuckDBPyConnection) -> None:
    guarded = dict(warehouse.sql("select dimension, count(distinct rule_name) from flights_quality group by 1").fetchall())
    assert set(guarded) == {"valid", "accurate", "consistent", "uniform", "unified"} and sum(guarded.values()) >= 15
    unfair, fair, least = warehouse.sql(
        "select count(*) filter (where not is_fair), count(*) filter (where is_fair), min(group_count) from flights_audit"
    ).fetchone() or (1, 0, 0)
    assert unfair == 0 and fair >= 50 and least > 20


def test_splits_are_disjoint_in_dates_and_out_of_time_begins_at_the_cut(warehouse: duckdb.DuckDBPyConnection) -> None:
    spread = warehouse.sql(
        "select max(splits) from (select count(distinct split) as splits from flights_features group by flight_date)"
    ).fetchone()
    cut = warehouse.sql("select min(flight_date), count(distinct flight_date) from flights_features where split = 'out_of_time'").fetchone()
    assert spread == (1,) and cut == ("2013-10-01", 92)


def test_a_fitted_lookup_reads_the_train_split_alone(warehouse: duckdb.DuckDBPyConnection) -> None:
    differing = warehouse.sql(
        """
        with train as (
            select carrier, avg(arr_delay_minutes - departure_delay_minutes) as lost, count(*) as n
            from flights_clean where split = 'train' group by carrier
        ), overall as (select avg(arr_delay_minutes - departure_delay_minutes) as lost from flights_clean where split = 'train')
        select count(*) from flights_carrier_history as history join train using (carrier), overall
        where abs(history.carrier_lost_minutes - (train.lost * train.n + 200 * overall.lost) / (train.n + 200)) > 1e-9
            or history.row_count <> train.n
        """
    ).fetchone()
    assert differing == (0,)


def test_flights_to_unknown_airports_are_flagged_and_kept(warehouse: duckdb.DuckDBPyConnection) -> None:
    unknown = warehouse.sql(
        "select count(*), count(distance_km) from flights_features where destination not in (select airport from flights_airports)"
    ).fetchone()
    assert unknown is not None and unknown[0] > 7_000 and unknown[0] == unknown[1]


def test_great_circles_agree_with_booked_distances(warehouse: duckdb.DuckDBPyConnection) -> None:
    (worst,) = warehouse.sql(
        "select max(abs(f.distance_km / (c.distance_miles * 1.609344) - 1)) from flights_features f join flights_clean c using (flight_id)"
    ).fetchone() or (1,)
    assert worst < 0.02


def test_quarantined_flights_keep_the_rules_that_they_broke(warehouse: duckdb.DuckDBPyConnection) -> None:
    broken = dict(
        warehouse.sql(
            "select broken_rules, count(*) from flights_quarantine where not contains(broken_rules, 'known') group by all"
        ).fetchall()
    )
    assert set(broken) == {"departed arrived", "arrived"}


def test_the_storage_root_holds_nothing_half_made(flights: Checkout) -> None:
    scratch = Path(flights.root, "tmp")
    assert not list(scratch.iterdir())


def test_the_notebook_runs_from_top_to_bottom(flights: Checkout) -> None:
    cells = json.loads((CHECKOUT / "notebooks/flights.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 7 and sum(cell["cell_type"] == "markdown" for cell in cells) >= 6
    script = flights.folder / "notebook.py"
    script.write_text("\n".join(code))
    before = (flights.own / "run.json").read_text()
    environment = flights.environment(MPLBACKEND="Agg", NOTEBOOK_EPOCHS="1")
    done = subprocess.run([sys.executable, str(script)], cwd=flights.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of 200,780 train rows" in done.stdout and "tuning RMSE" in done.stdout
    assert (flights.own / "run.json").read_text() == before


def test_fitted_lookups_have_the_same_bits_on_any_number_of_threads(flights: Checkout, warehouse: duckdb.DuckDBPyConnection) -> None:
    nodes = json.loads((flights.root / "workspaces/default/compile/manifest.json").read_text())["nodes"]
    names = ["flights_carrier_history", "flights_route_history", "flights_congestion", "flights_weather_usual"]
    for name in names:
        sql = nodes[f"model.skewless.{name}"]["compiled_code"]
        seen = set()
        for threads in (1, 2, 4, 4, 4):
            opened = warehouse.cursor()
            opened.execute(f"set threads = {threads}")
            seen.add(hash(tuple(opened.execute(f"select * from ({sql}) order by all").fetchall())))
        assert len(seen) == 1, name
    warehouse.execute("reset threads")
