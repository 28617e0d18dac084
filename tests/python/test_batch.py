"""Whole files through the service's own path: every row answered or rejected, in bounded memory, atomically."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from conftest import Checkout

from ml import answers, registry, storage
from ml.bundle import receipt
from ml.places import Places
from serving.app import body_of

HEADER = ["ticket", "sent_at", "depot", "carrier", "weight_g", "is_priority"]
GOOD = ["T1", "2024-03-05T14:30:00", "A", "swift", "1200", "false"]


def write(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def many(count: int) -> list[list[str]]:
    return [
        [f"T{n}", f"2024-03-{1 + n % 28:02d}T08:{n % 60:02d}:00", "ABCD"[n % 4], "swift", str(100 + n % 9000), "true"] for n in range(count)
    ]


def requests(rows: list[list[str]]) -> list[dict[str, Any]]:
    """The same rows as a client would send them."""
    return [
        {"sent_at": row[1], "depot": row[2], "carrier": row[3], "weight_g": int(row[4]), "is_priority": row[5] == "true"} for row in rows
    ]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_file_gets_the_answers_that_the_service_gives(lived: Checkout, tmp_path: Path, suffix: str) -> None:
    rows = many(300)
    source = write(tmp_path / f"in{suffix if suffix != '.parquet' else '.csv'}", rows)
    if suffix == ".parquet":
        source = tmp_path / "in.parquet"
        pq.write_table(pa.Table.from_pylist([{"ticket": row[0], **one} for row, one in zip(rows, requests(rows), strict=True)]), source)
    done = lived.json("predict", "toy", str(source), "-o", str(tmp_path / "out.parquet"))
    assert (done["rows"], done["answered"], done["rejected"], done["carried"]) == (300, 300, 0, ["ticket"])
    out = pq.read_table(tmp_path / "out.parquet").to_pydict()
    where = storage.open_storage(str(lived.root), "default")
    loaded = receipt.load(Places(where, "toy"), registry.champion_folder(where, "toy"))
    said = body_of(loaded, answers.answer(loaded, requests(rows)), "")
    assert out["prediction"] == pytest.approx([answer["prediction"] for answer in said["predictions"]], rel=1e-6)
    assert out["ticket"] == [row[0] for row in rows] and out["row"] == list(range(1, 301)) and set(out["model_version"]) == {loaded.id}


def test_rejects_keep_their_reason_and_the_books_balance(lived: Checkout, tmp_path: Path) -> None:
    rows = [
        GOOD,
        [*GOOD[:4], "990000", ""],
        [*GOOD[:4], "heavy", "maybe"],
        GOOD,
        ["T5", "", *GOOD[2:]],
        [*GOOD[:2], "Z", *GOOD[3:]],
        GOOD[:3],
    ]
    done = lived.json("predict", "toy", str(write(tmp_path / "in.csv", rows)), "-o", str(tmp_path / "out.csv"))
    assert (done["rows"], done["answered"], done["rejected"]) == (7, 3, 4)
    rejects = pa_csv.read_csv(tmp_path / "out.rejects.csv").to_pylist()
    seen = [(reject["row"], reject["field"] or "", reject["rule"], str(reject["value"] or "")) for reject in rejects]
    assert sorted(seen) == [
        (2, "weight_g", "ok_weight", "990000"), (3, "is_priority", "boolean", "maybe"), (3, "weight_g", "integer", "heavy"),
        (5, "sent_at", "required", ""), (7, "", "fields", "T1,2024-03-05T14:30:00,A"),
    ]  # fmt: skip
    answered = pa_csv.read_csv(tmp_path / "out.csv").to_pylist()
    assert [row["row"] for row in answered] == [1, 4, 6] and answered[2]["flags"] == "ok_depot_open"


def test_a_file_without_one_good_row_is_a_failure(lived: Checkout, tmp_path: Path) -> None:
    said = lived.skewless("predict", "toy", str(write(tmp_path / "in.csv", [GOOD[:2]] * 3)), "-o", str(tmp_path / "out.csv"), code=1)
    assert "3 rows = 0 answered + 3 rejected" in said


@pytest.mark.parametrize(
    ("header", "says"),
    [(["carier" if name == "carrier" else name for name in HEADER], "did you mean carrier?"),
     ([*HEADER[:2], "place", *HEADER[3:]], "lacks the columns depot"), (["row", *HEADER[1:]], "which the answer also has"),
     ([*HEADER[:5], "depot"], "twice")],
)  # fmt: skip
def test_columns_that_cannot_be_inputs_are_named(lived: Checkout, tmp_path: Path, header: list[str], says: str) -> None:
    assert says in lived.skewless(
        "predict", "toy", str(write(tmp_path / "in.csv", [GOOD], header)), "-o", str(tmp_path / "out.csv"), code=2
    )


def test_a_wrong_file_is_wrong_usage(lived: Checkout, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [GOOD])
    assert "no file" in lived.skewless("predict", "toy", "nowhere.csv", "-o", str(tmp_path / "out.csv"), code=2)
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    assert "must be one of .csv" in lived.skewless("predict", "toy", str(tmp_path / "book.xlsx"), "-o", str(tmp_path / "out.csv"), code=2)
    assert "neither" in lived.skewless("predict", "toy", str(source), "-o", str(tmp_path / "out.xlsx"), code=2)
    assert "the file that is read" in lived.skewless("predict", "toy", str(source), "-o", str(source), code=2)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    assert "cannot be read" in lived.skewless("predict", "toy", str(tmp_path / "torn.parquet"), "-o", str(tmp_path / "out.csv"), code=1)


def test_predictions_can_be_read_back_as_a_dbt_source(lived: Checkout, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", many(40))
    assert not lived.json("predict", "toy", str(source))["unchanged"]
    assert lived.json("predict", "toy", str(source))["unchanged"]
    typed = pa.Table.from_pylist([{"ticket": f"P{row[0]}", **one} for row, one in zip(many(7), requests(many(7)), strict=True)])
    pq.write_table(typed, tmp_path / "in.parquet")
    assert lived.json("predict", "toy", str(tmp_path / "in.parquet"))["answered"] == 7
    sql = "select count(*) as n, count(distinct ticket) as t from {{ source('toy_predictions', 'batch') }}"
    dbt = lived.command()[0].rsplit("/", 1)[0] + "/dbt"
    command = [dbt, "--quiet", "show", "--inline", sql, "--output", "json", "--log-format", "text"]
    shown = subprocess.run(command, cwd=lived.folder, env=lived.environment(), capture_output=True, text=True, timeout=300)
    assert json.loads(shown.stdout[shown.stdout.index("{") :])["show"] == [{"n": 47, "t": 47}], shown.stdout + shown.stderr


def test_a_killed_run_leaves_no_half_written_answer(lived: Checkout, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.csv", many(30_000)), tmp_path / "out.parquet"
    command = lived.command("predict", "toy", str(source), "-o", str(out))
    process = subprocess.Popen(command, cwd=lived.folder, env=lived.environment(), start_new_session=True, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(tmp_path.glob("*/out.parquet")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() and not (tmp_path / "out.rejects.parquet").exists()
    assert lived.json("predict", "toy", str(source), "-o", str(out))["answered"] == 30_000


def test_memory_does_not_grow_with_the_file(lived: Checkout, tmp_path: Path) -> None:
    script = "import resource, sys; from ml.cli import main; main(sys.argv[1:]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for count in (5_000, 40_000):
        source = write(tmp_path / f"{count}.csv", many(count))
        command = [sys.executable, "-c", script, "predict", "toy", str(source), "-o", str(tmp_path / "out.parquet")]
        done = subprocess.run(command, cwd=lived.folder, env=lived.environment(), capture_output=True, text=True, check=True)
        assert f"{count:,} answered" in done.stdout
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    assert peaks[1] < peaks[0] + 40_000_000
