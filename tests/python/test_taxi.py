"""Taxi: layouts of many shapes in one relation, rules against the simulator's truth, and the files that cities really published."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from conftest import CHECKOUT, Checkout, linked

pytestmark = pytest.mark.dbt

REAL = CHECKOUT.parent / "shared" / "data" / "taxi"
LAYOUTS = CHECKOUT / "tests" / "python" / "layouts"  # a few invented lines in each layout but the simulated one


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A simulation, and with it a few lines of every other layout: all cities in one warehouse, up to a promoted version."""
    folder = tmp_path_factory.mktemp("taxi")
    run = linked(folder, "taxi")
    said = {"simulated": run.json("ingest", "taxi", "--simulate", "120000", "--seed", "3")}
    said["others"] = run.json("ingest", "taxi", str(LAYOUTS))
    for verb, *options in (
        ["build"],
        ["check"],
        ["snapshot"],
        ["train", "--epochs", "4"],
        ["evaluate"],
        ["package"],
        ["promote"],
        ["quality"],
    ):
        said[verb] = run.json(verb, "taxi", *options)
    (folder / "said.json").write_text(json.dumps(said))
    return run


@pytest.fixture(scope="module")
def said(taxi: Checkout) -> dict:
    return json.loads((taxi.folder / "said.json").read_text())


@pytest.fixture
def warehouse(taxi: Checkout) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(taxi.root / "workspaces/default/warehouse.duckdb"), read_only=True) as opened:
        yield opened


def test_every_layout_comes_out_as_the_same_trip(warehouse: duckdb.DuckDBPyConnection) -> None:
    trips = warehouse.sql(
        """select raw_file, raw_row, city, pickup_at::varchar, dropoff_at::varchar, fare_usd, reported_distance, round(pickup_latitude, 2),
            round(dropoff_longitude, 2), source_key from int_taxi_trips where city <> 'simulated' order by 1, 2"""
    ).fetchall()
    assert trips == [
        ("chicago.csv", 1, "chicago", "2016-06-05 00:15:00", "2016-06-05 00:30:00", 10.25, 3.1, 41.9, -87.63, "a"),
        ("dc_csv.csv", 1, "washington", "2022-06-05 08:00:00", "2022-06-05 09:00:00", 9.5, 1.9, 38.9, -77.01, "3"),
        ("dc_meter.csv", 1, "washington", "2015-06-05 08:00:00", "2015-06-05 09:00:00", 9.5, 1.9, 38.9, -77.01, "1"),
        ("dc_meter.csv", 2, "washington", "2015-06-05 08:00:00", "2015-06-05 09:00:00", None, None, 38.9, -77.01, "2"),
        ("fares.csv", 1, "new_york", "2012-09-05 08:00:00", None, 11.5, None, 40.7, -73.95, None),
        ("green.csv", 2, "new_york", "2013-08-02 08:14:37", "2013-08-02 08:30:06", 11.5, 2.4, 40.7, -73.95, None),
    ]  # fmt: skip


def test_cities_live_side_by_side_each_with_its_tariff_and_its_cut(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = dict(
        warehouse.sql(
            "select city, any_value(split || ' ' || tariff_mile_usd) from taxi_features where city <> 'simulated' group by 1"
        ).fetchall()
    )
    assert found["new_york"] == "out_of_time 2.5" and found["washington"].endswith("2.16") and found["chicago"].endswith("2.25")


def test_the_rules_find_what_was_planted(said: dict) -> None:
    defects = {entry["defect"]: entry for entry in said["quality"]["truth"]["defects"]}
    blind = {name for name, entry in defects.items() if entry["recall"] is None}
    assert blind == {"fare_wrong_plausible"} and 0 < defects["fare_wrong_plausible"]["share"] < 0.003
    assert len(defects) == 21
    for name in defects.keys() - blind:
        # A fare under the minimum of a trip whose time cannot be read has no tariff to be judged by: two or three in a thousand.
        assert defects[name]["rows"] > 10 and defects[name]["precision"] >= 0.99 and defects[name]["recall"] >= 0.99, defects[name]


def test_eighteen_rules_and_more_guard_five_dimensions_within_budget(said: dict) -> None:
    card = said["quality"]["scorecard"]
    assert len(card) >= 18 and {row["dimension"] for row in card} == {"valid", "accurate", "consistent", "uniform", "unified"}
    assert not [row for row in card if row["loads_over"]]
    books = said["build"]["books"]
    assert books["raw"] == books["clean"] + books["quarantine"] + books["duplicates"] == said["simulated"]["rows"] + said["others"]["rows"]


def test_the_provider_of_kilometres_is_found_by_its_ratio(warehouse: duckdb.DuckDBPyConnection) -> None:
    units = warehouse.sql(
        "select provider, ratio / usual_ratio, is_kilometres from int_taxi_provider_units where city = 'simulated'"
    ).fetchall()
    kilometres = [ratio for _, ratio, found in units if found]
    assert len(units) >= 10 and len(kilometres) == 1 and 1.5 < kilometres[0] < 1.7
    assert all(0.9 < ratio < 1.1 for _, ratio, found in units if not found)
    assert "Kilo" not in "".join(path.read_text() for path in (CHECKOUT / "models/taxi").rglob("*.sql"))


def test_features_are_many_served_as_they_were_built_and_near_the_noise(said: dict) -> None:
    assert len(said["check"]["features"]) >= 25
    receipt = said["package"]["receipt"]
    assert receipt["ok"] and receipt["rows"] >= 10_000 and receipt["refused"] == 0
    floor = said["quality"]["truth"]["noise_floor"]["test"]
    assert 0 < floor["above_floor"] < 0.1  # four epochs on a hundred thousand rows; README has the figures of a million


def test_bins_have_fitted_edges_from_train_alone(warehouse: duckdb.DuckDBPyConnection) -> None:
    shares = warehouse.sql(
        """with ends as (
            select floor((unnest([pickup_latitude, dropoff_latitude]) - 38.81138) * 1e3) as cell
            from taxi_clean where city = 'simulated' and split = 'train'
        )
        select bin, avg(case when cell < first_cell then 1 else 0 end) from taxi_bin_edges, ends
        where city = 'simulated' and axis = 'latitude' group by 1 order by 1"""
    ).fetchall()
    wanted = [0.002, 0.02, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.98, 0.998]
    assert len(shares) == len(wanted) and all(share >= least for (_, share), least in zip(shares, wanted, strict=True))
    assert all(share < least + 0.08 for (_, share), least in zip(shares, wanted, strict=True))


def test_the_sample_advice_halves_the_error_with_four_times_the_rows(warehouse: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.sql("select sample_rows, relative_error from taxi_sample_advice where column_name = 'fare_usd' order by 1").fetchall()
    assert len(rows) >= 6 and rows[0][0] >= 1024
    assert all(0.3 < later[1] / earlier[1] < 0.8 for earlier, later in zip(rows, rows[2:], strict=False))


def test_a_request_that_no_trip_can_be_is_refused(taxi: Checkout, tmp_path: Path) -> None:
    sound = "simulated,2018-10-05T08:00:00,38.9045,-77.0402,38.8977,-77.0063"
    bad = {
        "ok_pickup_not_zero": sound.replace("38.9045,-77.0402", "0,0"),
        "ok_dropoff_not_swapped": sound.replace("38.8977,-77.0063", "-77.0063,38.8977"),
        "ok_dropoff_in_box": sound.replace("38.8977", "41.5"), "ok_city": sound.replace("simulated", "atlantis"),
        "ok_ends_apart": sound.replace("38.8977,-77.0063", "38.9045,-77.0402"), "ok_tariff_known": sound.replace("2018", "1998"),
    }  # fmt: skip
    header = "city,pickup_at,pickup_latitude,pickup_longitude,dropoff_latitude,dropoff_longitude"
    (tmp_path / "trips.csv").write_text("\n".join([header, sound, *bad.values()]) + "\n")
    done = taxi.json("predict", "taxi", str(tmp_path / "trips.csv"), "-o", str(tmp_path / "out.csv"))
    assert done["answered"] == 1 and done["rejected"] == len(bad)
    rejects = (tmp_path / "out.csv").with_name("out.rejects.csv")
    text = next(path for path in (rejects, *tmp_path.glob("*reject*")) if path.exists())
    content = duckdb.sql(f"select * from '{text}'").fetchall()
    assert [next(name for name in bad if any(name == row[2] and row[0] == number for row in content)) for number in range(2, 8)] == list(
        bad
    )


def test_a_bad_file_stops_the_build_and_says_why(taxi: Checkout) -> None:
    source = taxi.root / "simulated/taxi/120000-3/simulated_taxi_2016_03.txt"
    lines = source.read_text().splitlines()
    for number in range(1, len(lines), 3):
        fields = lines[number].split("|")
        fields[3] = "NULL"
        lines[number] = "|".join(fields)
    bad = taxi.folder / source.name
    bad.write_text("\n".join(lines) + "\n")
    taxi.json("ingest", "taxi", str(bad))
    assert "rule fare_present of taxi_quality" in taxi.skewless("build", "taxi", code=3)
    shown = taxi.skewless("quality", "taxi")
    assert "over budget: fare_present" in shown
    taxi.json("ingest", "taxi", str(source))
    assert taxi.json("build", "taxi")["books"]["raw"] == 120_000 + 6


@pytest.mark.skipif(not REAL.exists(), reason="the published files are next to the checkout only where they were put")
def test_the_published_files_are_accounted_for_to_the_line(tmp_path: Path) -> None:
    run = linked(tmp_path, "taxi")
    done = run.json("ingest", "taxi", str(REAL))
    lines = {load["file"]: (load["lines"], load["rows"], load["rejects"]) for load in done["loads"]}
    assert lines == {
        "taxi_2015_01.txt": (1_307, 1_307, 0), "taxi_fare_50k.csv": (50_000, 50_000, 0),
        "green_tripdata_2013-08.csv": (7_624, 7_623, 1), "cab_fare_dirty.csv": (16_066, 16_066, 0),
    }  # fmt: skip
    dbt = str(Path(sys.executable).with_name("dbt"))
    built = subprocess.run([dbt, "build", "-s", "taxi"], cwd=tmp_path, env=run.environment(), capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout[-3000:]
    with duckdb.connect(str(run.root / "workspaces/default/warehouse.duckdb"), read_only=True) as opened:
        raw, clean, quarantined = (
            opened.execute(f"select count(*) from {name}").fetchone() for name in ("int_taxi_trips", "taxi_clean", "taxi_quarantine")
        )
        (duplicates,) = opened.execute("select count(*) from int_taxi_duplicates").fetchone() or (0,)
        assert raw and clean and quarantined and raw[0] == 74_996 == clean[0] + quarantined[0] + duplicates
        # Nearly all trips of the dirtied sample are trips of the other one.
        assert 15_600 < duplicates < 16_022
        (odd,) = opened.execute(
            "select count(*) from taxi_clean where fare_usd > 300 or pickup_latitude = 0 or fare_usd < 2.5"
        ).fetchone() or (1,)
        assert odd == 0
    shown = run.json("quality", "taxi")["scorecard"]
    assert sum(row["exempt_loads"] for row in shown) == 8 and not [row for row in shown if row["loads_over"]]
