"""Files to raw Parquet: text as the file spells it, lines that add up, refusals that name the difference, and kill -9."""

import csv
import gzip
import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from properties import examples

from ml import ingest, storage
from ml.errors import SkewlessError
from ml.ingest import text as reader

COLUMNS = ["trip", "fare", "note"]
SOURCES = """
sources:
  - name: toy_raw
    config: {meta: {ingest: {delimiter: ","}}}
    tables:
      - name: trips
        config: {meta: {ingest: {file: staging/trips.csv}}}
        columns: [{name: trip}, {name: fare}, {name: note}]
      - name: zones
        config: {meta: {ingest: {delimiter: "|"}}}
        columns: [{name: zone}, {name: borough}]
"""
CHILD = """
import os, signal, sys
from collections import Counter
from pathlib import Path
from ml import ingest, storage
from ml.ingest import text
root, checkout, file, moment, count = sys.argv[1:]
text.BLOCK_BYTES = 1 << 14
calls = Counter()
def reached(name):
    calls[name] += 1
    if (name, calls[name]) == (moment, int(count)):
        os.kill(os.getpid(), signal.SIGKILL)
def replace(source, target, really=os.replace):
    reached("before")
    really(source, target)
    reached("after")
def progress(*_):
    reached("batch")
    print("batch", flush=True)
os.replace = replace
ingest.ingest(storage.open_storage(root, "default"), Path(checkout), "toy", [file], progress)
"""


@pytest.fixture
def checkout(tmp_path):
    staging = tmp_path / "checkout/models/toy/staging"
    staging.mkdir(parents=True)
    (staging / "_sources.yml").write_text(SOURCES)
    return tmp_path / "checkout"


@pytest.fixture
def where(tmp_path):
    return storage.open_storage(str(tmp_path / "root"), "default")


def load(where, checkout, *files):
    return ingest.ingest(where, checkout, "toy", [str(file) for file in files], lambda *_: None).loads


def write(folder, text, name="trips.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(where, loaded):
    return pq.read_table(storage.fetch(where, f"raw/toy/{loaded.table}/{loaded.load_id}.parquet"))


def rejects(where, loaded):
    return pq.read_table(storage.fetch(where, f"raw/toy/_rejects/{loaded.table}/{loaded.load_id}.parquet")).to_pylist()


def packed(text, suffix):
    if suffix == ".gz":
        return gzip.compress(text)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.csv", text)
    return out.getvalue()


def test_business_columns_stay_the_text_that_the_file_spells(where, checkout, tmp_path):
    table = rows(where, load(where, checkout, write(tmp_path, "trip,fare,note\n007,NA,\nnull, x ,1e3\nü,NaN,#N/A\n"))[0])
    assert table.schema.field("fare").type == pa.string()
    assert list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)) == [
        ("007", "NA", ""), ("null", " x ", "1e3"), ("ü", "NaN", "#N/A"),
    ]  # fmt: skip


def test_every_row_says_which_line_of_which_file_and_load_it_was(where, checkout, tmp_path):
    (loaded,) = load(where, checkout, write(tmp_path, "trip,fare,note\na,1,\nb,2,\n"))
    table = rows(where, loaded)
    assert table.column_names == [*COLUMNS, "raw_file", "raw_row", "raw_load_id"]
    assert set(table["raw_file"].to_pylist()) == {"trips.csv"} and set(table["raw_load_id"].to_pylist()) == {loaded.load_id}
    assert table["raw_row"].to_pylist() == [1, 2]


CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=examples(40))
@example(lines=[["", "", ""]], block=4 << 20)
@example(lines=[["", ""], ["", "", ""]], block=4 << 20)
@example(lines=[["\n\n", "", ""], ["", "", ""], ['"\n', "\r", '"'], ["", "", ""]], block=1 << 10)
@given(lines=st.lists(st.lists(CELL, min_size=2, max_size=4), max_size=40), block=st.sampled_from([1 << 10, 4 << 20]))
def test_rows_and_rejects_are_the_lines_of_the_file_each_at_its_number(lines, block, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lines")
    (folder / "models/toy").mkdir(parents=True)
    (folder / "models/toy/_sources.yml").write_text(SOURCES)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([COLUMNS, *lines])
    where = storage.open_storage(str(folder / "root"), "default")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK_BYTES", block)
        (loaded,) = load(where, folder, write(folder, text.getvalue()))
    whole = {number: line for number, line in enumerate(lines, 1) if len(line) == 3}
    assert (loaded.rows, loaded.rejects) == (len(whole), len(lines) - len(whole))
    assert {row["raw_row"]: [row[name] for name in COLUMNS] for row in rows(where, loaded).to_pylist()} == whole
    if loaded.rejects:
        assert [reject["raw_row"] for reject in rejects(where, loaded)] == [n for n in range(1, len(lines) + 1) if n not in whole]


def test_a_malformed_line_is_kept_with_its_number_its_text_and_the_reason(where, checkout, tmp_path):
    (loaded,) = load(where, checkout, write(tmp_path, 'trip,fare,note\na,1,"two\nlines"\nb,2\nc,3,\nd,4,,,\n'))
    assert (loaded.rows, loaded.rejects) == (2, 2)
    assert [(reject["raw_row"], reject["text"], reject["reason"]) for reject in rejects(where, loaded)] == [
        (2, "b,2", "2 fields where the header has 3"),
        (4, "d,4,,,", "5 fields where the header has 3"),
    ]
    assert {(reject["raw_file"], reject["raw_load_id"]) for reject in rejects(where, loaded)} == {("trips.csv", loaded.load_id)}


@pytest.mark.parametrize("text", ["trip,fare,note\n", "trip,fare,note"], ids=["newline", "no newline"])
def test_a_file_without_rows_loads_as_none(where, checkout, tmp_path, text):
    (loaded,) = load(where, checkout, write(tmp_path, text))
    assert (loaded.rows, loaded.rejects, rows(where, loaded).num_rows) == (0, 0, 0)


@pytest.mark.parametrize("order", [("", ".gz", ".zip"), (".zip", ".gz", "")])
def test_the_same_content_however_packed_loads_once(where, checkout, tmp_path, order):
    text = b"trip,fare,note\na,1,\nb,2\n"
    files = {"": text, ".gz": packed(text, ".gz"), ".zip": packed(text, ".zip")}
    loads = [load(where, checkout, write(tmp_path, files[suffix], f"t.csv{suffix}"))[0] for suffix in order]
    assert len({(one.load_id, one.rows, one.rejects, one.bytes) for one in loads}) == 1
    assert [one.unchanged for one in loads] == [False, True, True]
    assert storage.names(where, "raw/toy/trips") == [f"{loads[0].load_id}.parquet"]
    assert ingest.load_ids(where, checkout, "toy") == [f"trips/{loads[0].load_id}"]


SPELLINGS = ["trip,fare,note\na,1,x", "trip,fare,note\r\na,1,x\r\n", '"trip","fare","note"\n"a","1","x"\n', "\ufefftrip,fare,note\na,1,x\n"]


@pytest.mark.parametrize("text", SPELLINGS)
def test_line_ends_quotes_and_byte_order_marks_do_not_change_the_values(where, checkout, tmp_path, text):
    (loaded,) = load(where, checkout, write(tmp_path, text))
    assert [list(row.values())[:3] for row in rows(where, loaded).to_pylist()] == [["a", "1", "x"]]


def test_a_blank_line_counts(where, checkout, tmp_path):
    (loaded,) = load(where, checkout, write(tmp_path, "trip,fare,note\na,1,x\n\nb,2,y\n"))
    assert loaded.rows + loaded.rejects == 3
    assert [(row["trip"], row["raw_row"]) for row in rows(where, loaded).to_pylist() if row["trip"]] == [("a", 1), ("b", 3)]


def test_a_load_in_pieces_is_the_load_in_one(where, checkout, tmp_path, monkeypatch):
    path = write(tmp_path, "trip,fare,note\n" + "".join(f"{n},{n},x\n" if n % 7 else f'{n},"a\nb"\n' for n in range(1, 500)))
    (whole,) = load(where, checkout, path)
    monkeypatch.setattr(reader, "BLOCK_BYTES", 256)
    other = storage.open_storage(str(tmp_path / "other"), "default")
    (pieces,) = load(other, checkout, path)
    assert pieces == whole and whole.rejects == 71
    assert rows(where, whole)["raw_row"].to_pylist() == [n for n in range(1, 500) if n % 7]
    assert rows(other, pieces).equals(rows(where, whole)) and rejects(other, pieces) == rejects(where, whole)


HEADERS = {"trip,fare": "lacks note", "trip,fare,note,tip": "has 'tip' besides", "fare,trip,note": "in another order",
           "trip,fare,notes": "lacks note and it has 'notes' besides", "trip,trip,fare,note": "or repeated"}  # fmt: skip


@pytest.mark.parametrize(("header", "named"), HEADERS.items())
@pytest.mark.parametrize("given_by_name", [True, False])
def test_a_refused_header_names_the_table_and_the_difference(where, checkout, tmp_path, header, named, given_by_name):
    folder = tmp_path if given_by_name else checkout / "models/toy/staging"
    path = write(folder, header + "\na,1,\n")
    with pytest.raises(SkewlessError, match=named) as refused:
        load(where, checkout, *([path] if given_by_name else []))
    assert str(path) in str(refused.value) and "trips" in str(refused.value) and "trips" in refused.value.hint
    assert storage.names(where, "raw/toy/trips") == []


def test_an_unknown_header_is_compared_with_the_nearest_table(where, checkout, tmp_path):
    with pytest.raises(SkewlessError, match=r"nearest is zones: it lacks borough and it has 'city' besides"):
        load(where, checkout, write(tmp_path, "zone|city\n1|x\n"))


def test_files_are_recognised_by_their_headers_and_delimiters(where, checkout, tmp_path):
    (folder := tmp_path / "drop").mkdir()
    write(folder, "trip,fare,note\na,1,\n", "1.csv"), write(folder, "zone|borough\n1|a,b\n", "2.txt")
    trips, zones = load(where, checkout, folder)
    assert (trips.table, zones.table) == ("trips", "zones")
    assert rows(where, zones)["borough"].to_pylist() == ["a,b"]


def test_every_raw_table_has_an_empty_typed_file_until_and_after_files_come(where, checkout, tmp_path):
    ingest.ensure_empty_tables(where, checkout, ["toy"])
    for table, columns in {"trips": COLUMNS, "zones": ["zone", "borough"]}.items():
        empty = pq.read_table(storage.fetch(where, f"raw/toy/{table}/_empty.parquet"))
        assert empty.num_rows == 0 and empty.column_names == [*columns, "raw_file", "raw_row", "raw_load_id"]
        assert empty.schema.field("raw_row").type == pa.int64() and empty.schema.field(columns[0]).type == pa.string()
    assert ingest.load_ids(where, checkout, "toy") == []
    sources = checkout / "models/toy/staging/_sources.yml"
    sources.write_text(SOURCES.replace("{name: note}", "{name: note}, {name: tip}"))
    ingest.ensure_empty_tables(where, checkout, ["toy"])
    assert "tip" in pq.read_schema(storage.fetch(where, "raw/toy/trips/_empty.parquet")).names


TEXT = b"trip,fare,note\n" + b"".join(b"%d,%d,x\n" % (n, n * 7919) for n in range(2000))
ZIP, GZIP = packed(TEXT, ".zip"), packed(TEXT, ".gz")
UNREADABLE = {
    "no.zip": b"no zip", "short.zip": ZIP[:-40], "damaged.zip": ZIP[:5000] + b"damaged" + ZIP[5007:],
    "no.csv.gz": b"no gzip", "short.csv.gz": GZIP[:-40], "open_quote.csv": b'trip,fare,note\na,1,"open\n' + b"b,2,x\n" * 10_000,
    "latin1.csv": b"trip,fare,note\na,1,caf\xe9\n", "latin1_reject.csv": b"trip,fare,note\na,caf\xe9\n",
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_by_name_with_a_hint(where, checkout, tmp_path, name, monkeypatch):
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1 << 12)
    with pytest.raises(SkewlessError) as refused:
        load(where, checkout, write(tmp_path, UNREADABLE[name], name))
    assert name in str(refused.value) and refused.value.hint
    assert storage.names(where, "raw/toy/trips") == []


def test_a_missing_file_is_refused_by_name_with_a_hint(where, checkout, tmp_path):
    with pytest.raises(SkewlessError, match=r"there is no file .*gone\.csv") as refused:
        load(where, checkout, tmp_path / "gone.csv")
    assert refused.value.hint
    with pytest.raises(SkewlessError, match=r"staging/trips\.csv"):
        load(where, checkout)


LINES = 60_000
INSIDE = [("batch", 1), ("batch", 20), ("batch", 60), *((side, n) for n in (1, 2, 3) for side in ("before", "after"))]


def killed(where, checkout, path, moment, count, delay=0.0):
    """Ingest in a child that is killed: by itself at the count-th batch or rename, or from outside after its first batch."""
    command = [sys.executable, "-c", CHILD, where.root, str(checkout), str(path), moment, str(count)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    if moment == "outside":
        assert child.stdout.readline() == b"batch\n"
        time.sleep(delay)
        child.kill()
    child.communicate(timeout=60)
    return child.returncode


def assert_nothing_or_whole(where, checkout, path):
    left = storage.names(where, "raw/toy/trips")
    counts = [pq.read_table(storage.fetch(where, f"raw/toy/trips/{name}")).num_rows for name in left]
    assert counts in ([], [LINES - LINES // 1000])
    (again,) = load(where, checkout, path)
    assert (again.rows, again.rejects, again.unchanged) == (LINES - LINES // 1000, LINES // 1000, bool(left))
    assert rows(where, again).num_rows == again.rows and len(rejects(where, again)) == again.rejects
    assert load(where, checkout, path)[0].unchanged
    assert left or storage.names(where, "tmp") == []  # what the dead process left goes with the next write
    return bool(left)


@pytest.fixture
def large(tmp_path):
    return write(tmp_path, "trip,fare,note\n" + "".join(f"t{n},{n}.5,some text\n" if n % 1000 else f"t{n}\n" for n in range(LINES)))


@pytest.mark.parametrize(("moment", "count"), INSIDE)
def test_an_ingest_killed_in_any_step_leaves_nothing_until_its_last_rename_and_can_be_repeated(where, checkout, large, moment, count):
    assert killed(where, checkout, large, moment, count) == -signal.SIGKILL
    assert assert_nothing_or_whole(where, checkout, large) == ((moment, count) == ("after", 3))


@pytest.mark.parametrize("delay", [0, 0.04, 0.08, 0.16])
def test_an_ingest_killed_at_any_time_leaves_nothing_or_the_whole_table_and_can_be_repeated(where, checkout, large, delay):
    assert killed(where, checkout, large, "outside", 0, delay) in (0, -signal.SIGKILL)
    assert_nothing_or_whole(where, checkout, large)
