"""Drift by windows: a shift with a first day, out-of-time rows by their own time, truths that come later."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Checkout
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from scipy.stats import wasserstein_distance

from ml import contract as contracts
from ml import drift, storage
from ml.contract import Column
from ml.drift import series
from ml.drift.finding import Side, finding
from ml.drift.record import Window

BEGAN = datetime(2026, 5, 4)  # a Monday
PER_DAY = 120


def bundle_of(lived: Checkout) -> Path:
    version = json.loads((lived.own / "champion").read_text())["version"]
    return lived.root / "workspaces/default/bentoml/models/toy" / version


def days_of_traffic(lived: Checkout, days: int, shifted_from: int = 1000, shift: float = 0.3) -> list[dict[str, Any]]:
    """PER_DAY rows a day that look like the reference; the predictions are higher by `shift` from one day on."""
    reference = pq.read_table(bundle_of(lived) / "reference.parquet").to_pylist()
    rows, generator = [], np.random.default_rng(1)
    for day in range(days):
        for index, pick in enumerate(generator.permutation(len(reference))[:PER_DAY]):
            row = dict(reference[pick])
            row["prediction"] = min(row["prediction"] + (shift if day >= shifted_from else 0.0), 0.999)
            at = BEGAN + timedelta(days=day, minutes=index * 1440 / PER_DAY)
            rows.append({"prediction_id": f"d{day}-{index}", "predicted_at": f"{at.isoformat()}+00:00", "source": "request", **row})
    return rows


def write_log(lived: Checkout, rows: list[dict[str, Any]]) -> None:
    folder = lived.own / "predictions" / bundle_of(lived).name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(lived.own / "outcomes", ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "data.1.log").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_truth(path: Path, rows: list[tuple[str, Any]]) -> Path:
    path.write_text("prediction_id,is_late\n" + "".join(f"{name},{value}\n" for name, value in rows))
    return path


def came_true(rows: list[dict[str, Any]], wrong: bool = False) -> list[tuple[str, str]]:
    """Truths that fall as the predictions say, or the other way round."""
    generator = np.random.default_rng(2)
    return [(row["prediction_id"], str((generator.random() < row["prediction"]) != wrong).lower()) for row in rows]


def judge(lived: Checkout, **asked: Any) -> drift.Findings:
    """What the verb calls, in this process: a process of its own loads torch for each test."""
    where = storage.open_storage(str(lived.root), "default")
    return drift.drift(where, "toy", bundle_of(lived), drift.Asked(page=False, **asked), lambda *_: None)


def test_a_shift_is_found_from_its_day_on_and_not_before(lived: Checkout) -> None:
    write_log(lived, days_of_traffic(lived, 8, shifted_from=5))
    said = lived.json("drift", "toy", "--no-page", code=3)
    assert said["window"] == "day" and [one["rows"] for one in said["series"]] == [PER_DAY] * 8
    assert [one["judged"]["prediction_moved"] for one in said["series"]] == [False] * 5 + [True] * 3
    assert "drift in the last whole day (from 2026-05-11, 120 rows)" in said["verdict"]


def test_a_shift_that_has_passed_is_history_and_no_verdict(lived: Checkout) -> None:
    rows = days_of_traffic(lived, 8)
    for row in rows[: 2 * PER_DAY]:
        row["prediction"] = min(row["prediction"] + 0.4, 0.999)
    write_log(lived, rows[:PER_DAY] + rows[2 * PER_DAY :] + days_of_traffic(lived, 24)[8 * PER_DAY :])
    said = judge(lived).record
    assert [one.judged.drifted for one in (said.series[0], said.series[-1]) if one.judged] == [True, False] and not said.drifted


def test_a_window_that_has_only_begun_is_shown_and_not_judged(lived: Checkout) -> None:
    rows = days_of_traffic(lived, 21, shifted_from=20, shift=0.4)
    half = [row for row in rows if row["predicted_at"] < f"{(BEGAN + timedelta(days=20, hours=21)).isoformat()}"]
    write_log(lived, half)
    said = judge(lived).record
    last = said.series[-1]
    assert last.judged and last.judged.drifted and not last.complete
    assert said.last == (BEGAN + timedelta(days=19)).isoformat() and not said.drifted


def test_windows_are_as_fine_as_the_rows_allow_and_may_be_asked_for(lived: Checkout) -> None:
    write_log(lived, [row for index, row in enumerate(days_of_traffic(lived, 29)) if index % 4 == 0])
    assert judge(lived).record.window == "week"
    asked = judge(lived, window="day").record
    assert len(asked.series) == 29 and not any(one.judged for one in asked.series)
    assert "windows of one hour, more than" in lived.skewless("drift", "toy", "--no-page", "--window", "hour", code=2)


def test_rows_without_a_readable_time_are_in_the_whole_alone_and_counted(lived: Checkout) -> None:
    rows = days_of_traffic(lived, 2)
    write_log(lived, [*rows, {**rows[0], "prediction_id": "undated", "predicted_at": "yesterday"}])
    said = judge(lived).record
    assert said.undated_rows == 1 and said.rows == 2 * PER_DAY + 1 == sum(one.rows for one in said.series) + 1


def test_a_replay_judges_out_of_time_rows_by_the_time_of_its_events(lived: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "79 out-of-time rows of snapshot" in lived.skewless("drift", "toy", "--no-page", "--replay", code=3)
    monkeypatch.setattr(drift, "MIN_ROWS", 50)
    record = judge(lived, replay=True, window="week").record
    out_of_time = json.loads((bundle_of(lived) / "metrics.json").read_text())["out_of_time"]
    assert record.live and record.source == "out_of_time" and record.rows == record.live.rows == out_of_time["rows"] == 79
    assert record.live.log_loss == pytest.approx(out_of_time["log_loss"])
    assert len(record.series) > 1 and all("2024-04" in one.from_ for one in record.series)
    assert sum(one.live.rows for one in record.series if one.live) == 79
    assert judge(lived, replay=True, window="week").unchanged and not judge(lived, replay=True, window="day").unchanged
    assert "not both" in lived.skewless("drift", "toy", "--replay", "--outcomes", "x.csv", code=2)


def test_the_log_and_a_replay_keep_records_of_their_own(lived: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(lived, days_of_traffic(lived, 3))
    first = judge(lived)
    monkeypatch.setattr(drift, "MIN_ROWS", 50)
    assert judge(lived, replay=True).record.source == "out_of_time"
    again = judge(lived)
    assert again.unchanged and again.key == first.key and again.record.source == "request"


def test_outcomes_as_good_as_the_test_split_are_no_drift_and_are_kept_once(lived: Checkout, tmp_path: Path) -> None:
    rows = days_of_traffic(lived, 8)
    write_log(lived, rows)
    file = write_truth(tmp_path / "truth.csv", came_true(rows))
    said = judge(lived, outcomes=file).record
    assert said.live and said.live.rows == len(rows) and said.live.against_test in ("like", "better") and not said.drifted
    assert said.live.resampled == "8 groups" and said.live.log_loss_interval and said.live.log_loss_interval[0] < said.live.error
    assert judge(lived, outcomes=file).unchanged
    assert len(list((lived.own / "outcomes").iterdir())) == 1


def test_outcomes_with_worse_errors_are_drift_and_named(lived: Checkout, tmp_path: Path) -> None:
    rows = days_of_traffic(lived, 8)
    write_log(lived, rows)
    table = pa.table(
        {"is_late": [value == "true" for _, value in came_true(rows, wrong=True)], "prediction_id": [r["prediction_id"] for r in rows]}
    )
    pq.write_table(table, tmp_path / "truth.parquet")
    said = lived.json("drift", "toy", "--no-page", "--outcomes", str(tmp_path / "truth.parquet"), code=3)
    assert said["live"]["against_test"] == "worse" and "on test: worse beyond chance" in said["verdict"]
    assert not any(found["drifted"] for found in said["findings"])


def test_strange_repeated_and_unreadable_outcomes_are_counted_and_named(lived: Checkout, tmp_path: Path) -> None:
    rows = days_of_traffic(lived, 8)
    write_log(lived, rows)
    truth = came_true(rows)
    wrong = [(name, "false" if value == "true" else "true") for name, value in truth]
    odd = [("nobody", "true"), ("d0-1", "maybe"), ("d0-2", ""), ("", "true")]
    file = write_truth(tmp_path / "odd.csv", [*wrong[:300], *odd, *truth])
    said = judge(lived, outcomes=file).record
    (about,) = said.outcomes
    assert (about.rows, about.duplicates, about.unreadable, about.unknown) == (300 + 4 + len(rows), 300, 3, 1)
    assert about.unknown_ids == ("nobody",) and about.unreadable_ids == ("d0-1 (maybe)", "d0-2 (empty)", "(no id) (true)")
    known = {name: float(value == "true") for name, value in truth}
    (path,) = (lived.own / "outcomes").iterdir()
    kept = {row["prediction_id"]: row["is_late"] for row in pq.read_table(path).to_pylist() if row["prediction_id"] != "nobody"}
    assert kept == known, "the last of several truths counts"
    assert "1 name no logged prediction: nobody" in lived.skewless("drift", "toy", "--no-page", "--outcomes", str(file))


def test_a_later_file_corrects_an_earlier_one(lived: Checkout, tmp_path: Path) -> None:
    rows = days_of_traffic(lived, 8)
    write_log(lived, rows)
    wrong = judge(lived, outcomes=write_truth(tmp_path / "a.csv", came_true(rows, wrong=True))).record
    assert wrong.live and wrong.live.against_test == "worse"
    said = judge(lived, outcomes=write_truth(tmp_path / "b.csv", came_true(rows))).record
    assert said.live and said.live.rows == len(rows) and said.live.against_test != "worse" and len(said.outcomes) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [("id,is_late\nx,1\n", "no column prediction_id"), ("PAR1, but no Parquet", "cannot be read"), (None, "there is no file")],
)
def test_a_file_that_holds_no_outcomes_is_refused(lived: Checkout, tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "truth.csv").write_text(text)
    assert says in lived.skewless("drift", "toy", "--no-page", "--outcomes", str(tmp_path / "truth.csv"), code=2)


def in_windows(lived: Checkout, values: np.ndarray, reference: pa.Table) -> float:
    """The score that `series` gives to the weights of one window."""
    contract = contracts.load(bundle_of(lived) / "contract.json")
    picked = reference.take(pa.array(np.arange(len(values)) % reference.num_rows))
    place = picked.schema.get_field_index("weight_kg")
    judged = picked.set_column(place, "weight_kg", pa.array(values, pa.float64()))
    with duckdb.connect() as opened:
        opened.register("rows", judged)
        opened.execute("create table judged as select *, timestamp '2026-05-04 10:00:00' as _at from rows")
        (window,) = series.windows(opened, contract, reference, "day", {})
    return next(found.score for found in window.findings if found.name == "weight_kg")


@settings(max_examples=examples(60))
@given(
    st.integers(0, 1000), st.floats(-5, 5), st.floats(0.2, 4), st.sampled_from(["smooth", "whole numbers", "yes or no", "heavy tails"])
)  # fmt: skip
def test_the_binned_distance_of_a_window_is_the_exact_one_to_a_step(
    lived: Checkout, seed: int, shift: float, scale: float, shape: str
) -> None:
    generator = np.random.default_rng(seed)

    def draw(count: int) -> np.ndarray:
        match shape:
            case "smooth":
                return generator.normal(size=count)
            case "whole numbers":
                return generator.poisson(3.0, count).astype(float)
            case "yes or no":
                return (generator.random(count) < 0.4).astype(float)
            case _:
                return generator.standard_t(2.5, count)

    reference = pq.read_table(bundle_of(lived) / "reference.parquet")
    before, after = draw(reference.num_rows), draw(400) * scale + shift
    place = reference.schema.get_field_index("weight_kg")
    exact = wasserstein_distance(before, after) / before.std()
    binned = in_windows(lived, after, reference.set_column(place, "weight_kg", pa.array(before)))
    step = (before.max() - before.min()) / series.BINS / before.std()
    assert binned == pytest.approx(exact, rel=1e-9, abs=min(step, 0.03) if shape == "smooth" else step)


def test_a_window_is_measured_by_what_windows_of_training_do(lived: Checkout) -> None:
    contract = contracts.load(bundle_of(lived) / "contract.json")
    reference = pq.read_table(bundle_of(lived) / "reference.parquet")
    rows = pa.concat_tables([reference] * 12)
    week = np.arange(rows.num_rows) % 12
    place = rows.schema.get_field_index("weight_kg")
    rows = rows.set_column(place, "weight_kg", pa.array(np.array(rows["weight_kg"].fill_null(2.0)) + 3.0 * np.sin(week)))
    with duckdb.connect() as opened:
        opened.register("rows", rows.append_column("week", pa.array(week)))
        opened.execute("create table judged as select * exclude week, timestamp '2026-01-05' + to_days(7 * week::integer) as _at from rows")
        opened.execute("create table training as from judged")
        usual = series.usual_scores(opened, contract, rows, "week")
        free = series.windows(opened, contract, rows, "week", {})
        held = series.windows(opened, contract, rows, "week", usual)

    def moved(one: Window) -> bool:
        return one.judged is not None and "weight_kg" in one.judged.moved

    assert usual["weight_kg"] > 0.5 > usual["carrier_late_share"]
    assert sum(moved(one) for one in free) > 8 and sum(moved(one) for one in held) <= 1


@pytest.mark.parametrize(
    ("column", "before", "now", "says"),
    [
        (Column("pressure_hpa", "double", "feature", kind="numerical", unit="hPa"), Side(9, 0, 1016.9, 9.0), Side(9, 0, 1019.8, 9.0),
         "rose from 1016.9 to 1019.8 hPa on average, 0.32 standard deviations; threshold 0.1"),
        (Column("wind", "double", "feature", kind="numerical", unit="km/h"), Side(9, 0, 18.0, 8.0), Side(9, 0, 18.1, 14.0),
         "now spreads by 14.0 km/h, 8.0 before, around 18.1 km/h on average, 18.0 before, 0.32 standard deviations; threshold 0.1"),
        (Column("carrier", "text", "feature", kind="categorical"), Side(9, 0, shares={"9E": 0.056, "UA": 0.944}),
         Side(9, 0, shares={"9E": 0.379, "UA": 0.621}), "9E 5.6% → 38%, distance 0.32; threshold 0.1"),
        (Column("seats", "double", "feature", kind="numerical"), Side(9, 0.004, 1.0, 1.0), Side(9, 0.12),
         "missing in 12% of rows, 0.4% before"),
        (Column("is_weekend", "boolean", "feature", kind="numerical"), Side(9, 0, 0.2, 0.4), Side(9, 0, 0.4, 0.5),
         "true in 40% of rows, 20% before, 0.32 standard deviations; threshold 0.1"),
    ],
)  # fmt: skip
def test_a_finding_says_unit_direction_and_size(column: Column, before: Side, now: Side, says: str) -> None:
    score = 0.32 if now.mean is not None or now.shares else 0.0
    assert finding(column, 0.1, score, 0.0, before, now).says == says
