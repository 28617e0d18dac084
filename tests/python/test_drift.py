"""Drift over prediction logs with a known shift."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Checkout

from ml import drift


def bundle_of(lived: Checkout) -> Path:
    version = json.loads((lived.own / "champion").read_text())["version"]
    return lived.root / "workspaces/default/bentoml/models/toy" / version


def write_log(lived: Checkout, table: pa.Table, tail: str = "", source: str = "request") -> None:
    """A prediction log with the rows of a table, in the service's own form."""
    folder = lived.own / "predictions" / bundle_of(lived).name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    lines = [json.dumps({"prediction_id": f"r-{index}", "source": source, **row}) for index, row in enumerate(table.to_pylist())]
    (folder / "data" / "data.1.log").write_text("\n".join(lines) + "\n" + tail)


@pytest.fixture
def reference(lived: Checkout) -> pa.Table:
    return pq.read_table(bundle_of(lived) / "reference.parquet")


def shifted(table: pa.Table, name: str, by: float) -> pa.Table:
    values = [None if value is None else value + by for value in table[name].to_pylist()]
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.float64()))


def test_a_log_like_the_reference_is_no_drift_and_ends_0(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, reference)
    said = lived.json("drift", "toy", "--no-page")
    assert not said["drifted"] and said["rows"] == reference.num_rows
    assert all(finding["score"] == pytest.approx(0, abs=1e-9) for finding in said["findings"])


def test_the_same_log_is_judged_once(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, shifted(reference, "weight_kg", 0.5))
    assert [lived.json("drift", "toy", "--no-page")["unchanged"] for _ in range(2)] == [False, True]


def test_a_shifted_prediction_is_drift_and_ends_3(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, shifted(reference, "prediction", 0.3))
    said = lived.json("drift", "toy", "--no-page", code=3)
    assert said["drifted"] and [finding["name"] for finding in said["findings"] if finding["drifted"]] == ["prediction"]


def test_one_shifted_feature_is_named_but_is_no_verdict(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, shifted(reference, "weight_kg", 4.0))
    said = lived.json("drift", "toy", "--no-page")
    assert not said["drifted"] and "weight_kg" in said["verdict"]


def test_an_ignored_feature_does_not_vote(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, shifted(reference, "sent_time_sin", 4.0))
    said = lived.json("drift", "toy", "--no-page")
    assert said["share_drifted"] == 0 and not said["drifted"]


def test_values_gone_missing_are_drift_of_their_column(lived: Checkout, reference: pa.Table) -> None:
    gone = reference.set_column(reference.schema.get_field_index("carrier"), "carrier", pa.array([None] * reference.num_rows, pa.string()))
    write_log(lived, gone)
    found = {finding["name"]: finding for finding in lived.json("drift", "toy", "--no-page")["findings"]}
    assert found["carrier"]["drifted"] and found["carrier"]["missing_now"] == 1


def test_a_torn_last_line_is_counted_and_the_rest_is_read(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, reference, tail='{"prediction_id": "r-torn", "predi')
    said = lived.json("drift", "toy", "--no-page")
    assert said["unreadable_lines"] == 1 and said["rows"] == reference.num_rows


def test_requests_are_judged_without_the_smoke_test_once_there_are_enough(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, shifted(reference, "prediction", 0.3), source="smoke_test")
    assert "of the smoke test" in lived.json("drift", "toy", "--no-page", code=3)["verdict"]
    log = lived.own / "predictions" / bundle_of(lived).name / "data" / "data.1.log"
    kept = log.read_text()
    write_log(lived, reference)
    (log.parent / "data.2.log").write_text(kept)
    said = lived.json("drift", "toy", "--no-page")
    assert said["source"] == "request" and said["rows"] == reference.num_rows and not said["drifted"]


def test_too_few_predictions_are_refused_with_their_number(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, reference.slice(0, drift.MIN_ROWS - 1))
    assert f"logged {drift.MIN_ROWS - 1} predictions" in lived.skewless("drift", "toy", "--no-page", code=3)


def test_evidently_writes_its_page(lived: Checkout, reference: pa.Table) -> None:
    write_log(lived, shifted(reference, "weight_kg", 4.0))
    page = Path(lived.json("drift", "toy")["page"]).read_text()
    assert "<html" in page and "weight_kg" in page and len(page) > 1_000_000
