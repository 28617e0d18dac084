"""Where raw files come from and how they are packed; files that take another's place; two at once, a full disk, kill -9."""

import bz2
import functools
import http.server
import io
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import ingest, storage
from ml.errors import SkewlessError

SOURCES = """
sources:
  - name: toy_raw
    tables:
      - name: trips
        config: {meta: {ingest: {delimiter: "|", quoted: false}}}
        columns: [{name: trip}, {name: fare}, {name: note}]
      - name: ragged
        config: {meta: {ingest: {delimiter: ",", quoted: false, unnamed: 2}}}
        columns: [{name: vendor}, {name: Fare}, {name: unnamed_3}, {name: unnamed_4}]
"""
MONTH = b"trip|fare|note\na|1|x\nb|2|y\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    staging = tmp_path / "checkout/models/toy/staging"
    staging.mkdir(parents=True)
    (staging / "_sources.yml").write_text(SOURCES)
    return tmp_path / "checkout"


@pytest.fixture
def where(tmp_path: Path) -> storage.Storage:
    return storage.open_storage(str(tmp_path / "root"), "default")


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


def load(where, checkout, *sources, keep_both=False):
    return ingest.ingest(where, checkout, "toy", [str(source) for source in sources], lambda *_: None, keep_both)


def values(where, table="trips"):
    """All rows of a raw table: the trip, its number and its file."""
    folder = storage.fetch(where, f"raw/toy/{table}")
    rows = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(
        (row["trip" if "trip" in row else "vendor"], row["fare" if "fare" in row else "Fare"], row["raw_row"], row["raw_file"])
        for row in rows
    )


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"trip": ["a", "b"], "fare": [1, 2], "note": ["x", None]}), out)
    return out.getvalue()


PACKED = {
    "m.txt.bz2": bz2.compress(MONTH), "m.zip": zipped(m__txt=MONTH), "m.parquet": parquet(),
    "all.zip": zipped(README__txt=b"TITLE: trips\nfor you\n", y2015__zip=zipped(m__txt=MONTH)),
    "mixed.zip": zipped(m__txt__bz2=bz2.compress(MONTH)),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKED)
def test_a_file_is_read_however_it_is_packed(where, checkout, drop, name):
    (drop / name).write_bytes(PACKED[name])
    done = load(where, checkout, drop / name)
    assert [row[:3] for row in values(where)] == [("a", "1", 1), ("b", "2", 2)]
    assert [(one.lines, one.rows, one.rejects) for one in done.loads] == [(2, 2, 0)]
    assert len(done.documents) == (name == "all.zip")
    assert storage.names(where, "tmp") == []


def test_the_same_content_under_another_name_or_packing_is_one_load(where, checkout, drop):
    (drop / "m.txt").write_bytes(MONTH), (drop / "copy.txt.bz2").write_bytes(bz2.compress(MONTH))
    (drop / "deep").mkdir()
    (drop / "deep" / "m.zip").write_bytes(PACKED["all.zip"])
    done = load(where, checkout, drop)
    assert [one.unchanged for one in done.loads] == [False, True, True] and len(values(where)) == 2


def test_a_glob_means_its_files_and_none_is_an_error(where, checkout, drop):
    (drop / "a_1.txt").write_bytes(MONTH), (drop / "b_1.txt").write_bytes(b"trip|fare|note\nc|3|\n")
    assert [one.file for one in load(where, checkout, drop / "a_*.txt").loads] == ["a_1.txt"]
    with pytest.raises(SkewlessError, match="no file matches"):
        load(where, checkout, drop / "z_*.txt")


def test_a_document_in_a_folder_is_left_alone_and_reported_and_by_its_name_refused(where, checkout, drop):
    (drop / "m.txt").write_bytes(MONTH), (drop / "README.txt").write_bytes(b"about these files\n")
    assert load(where, checkout, drop).documents == [str(drop / "README.txt")]
    with pytest.raises(SkewlessError, match="has a header that no raw table of toy has"):
        load(where, checkout, drop / "README.txt")
    (drop / "near.txt").write_bytes(b"trip|fare|notes\na|1|x\n")
    with pytest.raises(SkewlessError, match=r"nearest is trips: it lacks note and it has 'notes' besides"):
        load(where, checkout, drop)


def test_a_line_that_is_no_text_and_an_empty_line_are_kept_as_rejects(where, checkout, drop):
    (drop / "m.txt").write_bytes(b"trip|fare|note\na|1|caf\xe9\n\nb|2\nc|3|x\n")
    (one,) = load(where, checkout, drop / "m.txt").loads
    assert (one.lines, one.rows, one.rejects) == (4, 1, 3) and values(where) == [("c", "3", 4, "m.txt")]
    kept = pq.read_table(storage.fetch(where, f"raw/toy/_rejects/trips/{one.load_id}.parquet")).to_pylist()
    assert sorted((row["raw_row"], row["reason"], row["text"]) for row in kept) == [
        (1, "not UTF-8", "a|1|caf\\xe9"), (2, "an empty line", ""), (3, "2 fields where the header has 3", "b|2"),
    ]  # fmt: skip


def test_lines_may_have_more_fields_than_the_header_names(where, checkout, drop):
    (drop / "green.csv").write_bytes(b"vendor,Fare \n\n1,2.5,,\n2,3\n3,4,5,6\n")
    (one,) = load(where, checkout, drop / "green.csv").loads
    assert (one.table, one.lines, one.rows, one.rejects) == ("ragged", 4, 2, 2)
    assert [row[:3] for row in values(where, "ragged")] == [("1", "2.5", 2), ("3", "4", 4)]


def test_a_corrected_file_takes_the_place_of_the_one_of_its_name_unless_both_are_to_be_kept(where, checkout, drop):
    (drop / "m.txt").write_bytes(MONTH)
    (first,) = load(where, checkout, drop / "m.txt").loads
    (drop / "m.txt.bz2").write_bytes(bz2.compress(MONTH + b"c|3|late\n"))
    (second,) = load(where, checkout, drop / "m.txt.bz2").loads
    assert second.replaced == first.load_id and [row[0] for row in values(where)] == ["a", "b", "c"]
    assert storage.names(where, "raw/toy/_replaced/trips") == [f"{first.load_id}.parquet"]
    assert ingest.load_ids(where, checkout, "toy") == [f"trips/{second.load_id}"]
    (back,) = load(where, checkout, drop / "m.txt").loads
    assert back.replaced == second.load_id and [row[0] for row in values(where)] == ["a", "b"]
    load(where, checkout, drop / "m.txt.bz2", keep_both=True)
    assert [row[0] for row in values(where)] == ["a", "a", "b", "b", "c"]


def test_a_file_is_read_from_a_url(where, checkout, drop):
    (drop / "m.zip").write_bytes(PACKED["m.zip"])
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(drop))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert [row[:2] for row in (load(where, checkout, f"{url}/m.zip"), values(where))[1]] == [("a", "1"), ("b", "2")]
        with pytest.raises(SkewlessError, match="404"):
            load(where, checkout, f"{url}/gone.zip")
        server.shutdown()


CHILD = """
import os, signal, sys
from pathlib import Path
from ml import ingest, storage
root, checkout, file, moment = sys.argv[1:]
def replace(source, target, really=os.replace):
    final = str(target).endswith(".parquet") and "_rejects" not in str(target)
    if final and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    really(source, target)
    if final and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
ingest.ingest(storage.open_storage(root, "default"), Path(checkout), "toy", [file], lambda *_: None)
"""


def child(where, checkout, path, moment):
    command = [sys.executable, "-c", CHILD, where.root, str(checkout), str(path), moment]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_replacement_that_is_killed_leaves_the_old_rows_or_the_new_ones(where, checkout, drop, moment):
    (drop / "m.txt").write_bytes(MONTH)
    load(where, checkout, drop / "m.txt")
    (drop / "m.txt").write_bytes(b"trip|fare|note\nc|3|new\nbad line\n")
    process = child(where, checkout, drop / "m.txt", moment)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert [row[0] for row in values(where)] == (["a", "b"] if moment == "before" else ["c"])
    (again,) = load(where, checkout, drop / "m.txt").loads
    assert (again.rows, again.rejects, again.unchanged) == (1, 1, moment == "after") and [row[0] for row in values(where)] == ["c"]


def test_two_runs_at_once_load_a_file_once(where, checkout, drop):
    lines = b"".join(b"t%d|%d|x\n" % (number, number) for number in range(200_000))
    (drop / "m.txt").write_bytes(b"trip|fare|note\n" + lines)
    both = [child(where, checkout, drop / "m.txt", "never") for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=120)[1] == "" and process.returncode == 0
    assert len(values(where)) == 200_000 and len(ingest.load_ids(where, checkout, "toy")) == 1


def test_a_full_disk_leaves_the_raw_data_as_it_was(checkout, drop, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        where = storage.open_storage(str(small), "default")
        (drop / "m.txt").write_bytes(MONTH)
        load(where, checkout, drop / "m.txt")
        noise = os.urandom(6_000_000).hex()
        (drop / "m.txt").write_bytes(
            b"trip|fare|note\n" + b"".join(b"%s|1|x\n" % noise[i : i + 60].encode() for i in range(0, len(noise), 60))
        )
        with pytest.raises(OSError, match="No space left"):
            load(where, checkout, drop / "m.txt")
        assert [row[0] for row in values(where)] == ["a", "b"] and storage.names(where, "tmp") == []
        assert len(ingest.load_ids(where, checkout, "toy")) == 1
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
