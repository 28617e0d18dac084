"""Downloads: from servers that cut, stall, send false lengths and change the file, the right bytes or an error that says what happened."""

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from urllib.parse import unquote

import pytest
from download_server import TEXT, be_impatient, get, quiet, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml.errors import SkewlessError
from ml.ingest import download

CHILD = """
import os, signal, sys
from collections import Counter
from pathlib import Path
from ml.ingest import download
url, folder, moment, count = sys.argv[1:]
calls = Counter()
def reached(name):
    calls[name] += 1
    if (name, calls[name]) == (moment, int(count)):
        os.kill(os.getpid(), signal.SIGKILL)
def replace(source, target, really=os.replace):
    reached("before")
    really(source, target)
    reached("after")
def progress(label, done, total):
    reached("chunk")
    print(int(done), flush=True)
os.replace = replace
download.fetch(download.find(url)[0], Path(folder), progress)
"""


@pytest.fixture
def site():
    with serving(files={"/trips.csv": TEXT}) as site:
        yield site


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    be_impatient(monkeypatch)


def refused(source, folder):
    """The error of a download, after a look at the disk: nothing there passes for whole."""
    with pytest.raises(SkewlessError) as error:
        get(source, folder)
    assert not list(folder.glob("*/trips.csv")) and error.value.hint
    return str(error.value)


def test_a_file_comes_whole_under_its_own_name_and_is_counted_in_bytes(site, tmp_path):
    calls = []
    path = get(site.url, tmp_path, lambda *call: calls.append(call))
    assert path == tmp_path / hashlib.sha256(site.url.encode()).hexdigest()[:16] / "trips.csv" and path.read_bytes() == TEXT
    assert {label for label, _, _ in calls} == {"downloading trips.csv"} and {total for _, _, total in calls} == {len(TEXT)}
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls) and calls[-1][1] == len(TEXT)
    assert sorted(one.name for one in path.parent.iterdir()) == ["trips.csv", "trips.csv.json", "trips.csv.lock"]


def test_what_is_there_is_not_downloaded_again_until_it_changes(site, tmp_path):
    assert get(site.url, tmp_path) == get(site.url, tmp_path) and len(site.asked()) == 1
    site.files["/trips.csv"], site.mark = TEXT[::-1], '"2"'
    assert get(site.url, tmp_path).read_bytes() == TEXT[::-1] and site.asked() == [None, None]
    for site.mark in ('W/"3"', None):  # nothing tells whether it is the same
        before = len(site.asked())
        assert [get(site.url, tmp_path).read_bytes() for _ in range(2)] == [TEXT[::-1]] * 2 and len(site.asked()) == before + 2


@pytest.mark.parametrize("break_off", [{"send": 60_000}, {"send": 60_000, "stall": 2}, {"send": 60_000, "chunked": True}])
def test_after_a_cut_or_a_stall_only_the_rest_is_asked_for(site, tmp_path, break_off):
    site.turns = [break_off]
    assert get(site.url, tmp_path).read_bytes() == TEXT
    assert site.asked() == [None, "bytes=60000-"] and site.sent == len(TEXT)


@settings(max_examples=examples(25))
@given(size=st.integers(0, 5000), cuts=st.lists(st.integers(0, 3000), max_size=4), deaf=st.booleans(), mark=st.sampled_from(['"1"', None]))
def test_wherever_it_is_cut_the_bytes_are_right(size, cuts, deaf, mark, tmp_path_factory):
    with serving(files={"/trips.csv": TEXT[:size]}, mark=mark, always={"deaf": deaf}) as site:
        (remote,) = download.find(site.url)
        site.turns = [{"send": cut} for cut in cuts]
        assert download.fetch(remote, tmp_path_factory.mktemp("cut"), quiet).read_bytes() == TEXT[:size]


def test_tries_are_counted_only_while_nothing_is_won(site, tmp_path):
    site.turns = [{"send": 1000}] * 12 + [{"send": 0}] * (download.ATTEMPTS - 1)
    assert get(site.url, tmp_path).read_bytes() == TEXT
    site.mark, site.turns = '"2"', [{"send": 0}] * download.ATTEMPTS
    with pytest.raises(SkewlessError, match="promised 100,000 bytes and sent 0"):
        get(site.url, tmp_path)
    site.turns = [{"send": 1000}, {"range": "nonsense"}] * 20  # the same bytes over and over are no gain
    with pytest.raises(SkewlessError):
        get(site.url, tmp_path)


@pytest.mark.parametrize("turns", [[{"status": 503}] * 2, [{"status": 429, "more": {"Retry-After": "0"}}] * 4])
def test_a_busy_server_is_asked_again(site, tmp_path, turns):
    site.turns = turns.copy()
    assert get(site.url, tmp_path).read_bytes() == TEXT and len(site.asked()) == len(turns) + 1


def test_a_server_is_not_pressed_beyond_what_it_asks_for(site, tmp_path):
    site.turns, began = [{"status": 503, "more": {"Retry-After": "1"}}], time.monotonic()
    get(site.url, tmp_path)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(("status", "said"), [(404, "404 Not Found"), (403, "403 Forbidden"), (410, "410 Gone")])
def test_a_refusal_is_reported_at_once(site, tmp_path, status, said):
    site.heads = site.always = {"status": status}
    assert refused(site.url, tmp_path) == f"{site.url}: {said}" and len(site.seen) <= 2


@pytest.mark.parametrize("head", [{"status": 403}, {"status": 405}, {"status": 501}, {"promise": 0}, {"unsaid": True}])
def test_a_server_without_a_usable_head_is_asked_by_get(site, tmp_path, head):
    site.heads = head
    (remote,) = download.find(site.url)
    assert (remote.size, remote.mark, remote.name) == (len(TEXT), '"1"', "trips.csv")
    assert download.fetch(remote, tmp_path, quiet).read_bytes() == TEXT


def test_redirects_are_followed_and_the_address_asked_for_gives_the_name(site, tmp_path):
    with serving(files={}, heads={"status": 302, "to": site.url}, always={"status": 307, "to": site.url}) as first:
        site.turns = [{"send": 500}]
        path = get(first.url.replace("trips", "other"), tmp_path)
        assert (path.name, path.read_bytes(), site.asked()) == ("other.csv", TEXT, [None, "bytes=500-"])
        first.heads = {"status": 302, "to": first.url}
        assert "redirects" in refused(first.url, tmp_path)


@pytest.mark.parametrize("is_careless", [False, True])
def test_content_that_changes_between_attempts_is_never_mixed(site, tmp_path, is_careless):
    site.turns, site.always = [{"send": 60_000}], {"careless": is_careless}

    def change(label, done, total):
        if done >= 50_000:
            site.files["/trips.csv"], site.mark = TEXT[::-1], '"2"'

    assert get(site.url, tmp_path, change).read_bytes() == TEXT[::-1]
    assert get(site.url, tmp_path).read_bytes() == TEXT[::-1] and site.asked() == [None, "bytes=60000-"] + [None] * is_careless


def test_a_misfit_range_is_not_appended(site, tmp_path):
    for wrong in ("bytes 0-99999/100000", "bytes 50000-89999/100000", "bytes 60000-99999/100001", "bytes 60000-99998/100000", "nonsense"):
        site.turns, site.mark = [{"send": 60_000}, {"range": wrong}], f'"{wrong}"'
        assert get(site.url, tmp_path).read_bytes() == TEXT and site.asked()[-3:] == [None, "bytes=60000-", None]


FALSE_ANSWERS = {
    "short": ({"send": 0}, "the server promised 100,000 bytes and sent"),
    "short by chunks": ({"chunked": True, "lack": 40_000}, "the server promised 100,000 bytes and sent"),
    "long": ({"chunked": True, "extra": 1}, "more bytes than promised"),
    "less than before": ({"promise": 60_000}, "promised 100,000 bytes and then 60,000 of the same file"),
    "more than before": ({"extra": 50, "promise": 100_050}, "promised 100,000 bytes and then 100,050 of the same file"),
    "stalled": ({"send": 0, "stall": 1}, r"no answer within 0\.4 s"),
    "packed": ({"more": {"Content-Encoding": "gzip"}}, "packs it .gzip. though asked not to"),
    "down": ({"status": 502}, "502 Bad Gateway"),
}


@pytest.mark.parametrize("fault", FALSE_ANSWERS)
@pytest.mark.parametrize("mark", ['"1"', 'W/"1"', None])
def test_a_false_answer_yields_no_file_and_a_part_that_can_be_continued_is_kept(site, tmp_path, fault, mark, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    site.turns, site.mark = [{"send": 60_000}], mark
    site.always, said = FALSE_ANSWERS[fault]
    if fault in ("long", "less than before", "more than before"):
        site.always = {**site.always, "deaf": True}
    error = refused(site.url, tmp_path)
    assert re.search(said, error)
    is_kept = mark == '"1"' and not site.always.get("deaf")
    assert ("60.0 kB are kept; the same command continues from there" in error) == is_kept
    site.always, site.seen = {}, []
    assert get(site.url, tmp_path).read_bytes() == TEXT and site.asked() == ["bytes=60000-" if is_kept else None]


def test_an_end_that_may_be_a_cut_is_refused_but_chunks_say_where_they_end(site, tmp_path):
    site.heads = site.always = {"unsaid": True}
    assert "does not say how long" in refused(site.url, tmp_path)
    site.heads = site.always = {"chunked": True}
    (remote,) = download.find(site.url)
    site.turns = [{"send": 5000}]
    assert remote.size is None and download.fetch(remote, tmp_path, quiet).read_bytes() == TEXT and site.asked()[-1] == "bytes=5000-"


@pytest.mark.parametrize("spoil", [b"", b'{"url": "http', b"[]", None])
def test_a_part_of_another_version_or_without_a_record_is_not_continued(site, tmp_path, spoil):
    site.turns, site.always = [{"send": 60_000}], {"send": 0}
    refused(site.url, tmp_path)
    (record,) = tmp_path.glob("*/trips.csv.part.json")
    site.always, site.seen = {}, []
    if spoil is None:
        site.files["/trips.csv"], site.mark = TEXT[::-1], '"2"'
    else:
        record.write_bytes(spoil)
    assert get(site.url, tmp_path).read_bytes() == site.files["/trips.csv"] and site.asked() == [None]


def test_secrets_of_an_address_are_in_no_name_message_or_record(site, tmp_path):
    url = site.url.replace("//", "//anna:hush@") + "?X-Signature=hush&n=../x.csv#hush"
    site.turns, site.always = [{"send": 60_000}], {"send": 0}
    error = refused(url, tmp_path)
    written = [path.name + ("" if path.name.endswith(".part") else path.read_text()) for path in tmp_path.glob("*/*")]
    assert "hush" not in error + repr(download.find(url)) + "".join(written) and site.url in error
    assert any(json.loads(path.read_text())["url"] == site.url for path in tmp_path.glob("*/*.json"))


NAMES = {"/a%20b.csv.gz": "a b.csv.gz", "/%2e%2e%2Fetc%2Fpasswd": "_etc_passwd", "/": "download", "/x/": "download", "/.hidden": "hidden",
         "/" + "n" * 300 + ".csv": "n" * 196 + ".csv", "/caf%C3%A9%00.csv": "café_.csv"}  # fmt: skip


@pytest.mark.parametrize("path", NAMES)
def test_a_name_is_one_that_a_folder_can_hold(site, tmp_path, path):
    site.files = {unquote(path): b"x"}
    got = get(site.url.replace("/trips.csv", path), tmp_path)
    assert got.name == NAMES[path] and got.parent.parent == tmp_path and got.read_bytes() == b"x"


NOWHERE = {"http://nowhere.invalid/x": "host not found", "http://127.0.0.1:1/x": "Connection refused", "http:///x": "cannot be followed",
           "http://[x/y": "host not found", "http://a:b/x": "cannot be followed", "s3:///x": "names no bucket"}  # fmt: skip


@pytest.mark.parametrize("url", NOWHERE)
def test_an_address_that_leads_nowhere_is_reported(url):
    with pytest.raises(SkewlessError, match=NOWHERE[url]) as error:
        download.find(url)
    assert str(error.value).startswith(url) and error.value.hint


def test_sources_are_addresses_or_paths():
    assert all(map(download.is_remote, ("http://a/b", "HTTPS://a/b", "s3://a/b")))
    assert not any(map(download.is_remote, ("a.csv", "/http://", "ftp://a/b", "s3:/a")))


def child(site, folder, moment, count=0):
    command = [sys.executable, "-c", CHILD, site.url, str(folder), moment, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


@pytest.mark.parametrize(("moment", "count"), [("chunk", 1), ("chunk", 30), ("before", 1), ("after", 1), ("outside", 0)])
def test_a_download_killed_at_any_moment_is_finished_by_the_next(site, tmp_path, moment, count):
    site.turns = [{"pace": 0.005}]
    killed = child(site, tmp_path, moment, count)
    if moment == "outside":
        assert [killed.stdout.readline() for _ in range(20)][-1]
        killed.kill()
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert [path.read_bytes() for path in tmp_path.glob("*/trips.csv")] == ([TEXT] if moment == "after" else [])
    kept = sum(path.stat().st_size for path in tmp_path.glob("*/trips.csv.part"))
    site.seen = []
    assert get(site.url, tmp_path).read_bytes() == TEXT
    assert site.asked() == ([] if kept == len(TEXT) else [f"bytes={kept}-" if kept else None])
    assert bool(kept) == (moment != "after" and (moment, count) != ("chunk", 1))


def test_a_record_never_describes_the_bytes_of_another_version(site, tmp_path):
    get(site.url, tmp_path)
    site.files["/trips.csv"], site.mark = TEXT[::-1], '"2"'
    killed = child(site, tmp_path, "after", 1)
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    site.files["/trips.csv"], site.mark = TEXT, '"1"'
    assert get(site.url, tmp_path).read_bytes() == TEXT


def test_an_interrupt_leaves_a_part_to_continue(site, tmp_path):
    def interrupt(label, done, total):
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(site.url, tmp_path, interrupt)
    (part,) = tmp_path.rglob("*.part")
    kept = part.stat().st_size
    assert kept > 50_000
    assert get(site.url, tmp_path).read_bytes() == TEXT
    # How much came with the chunk that was interrupted is up to the network; all of it, and nothing is left to ask for.
    assert site.asked()[1:] == ([f"bytes={kept}-"] if kept < len(TEXT) else [])


def test_of_two_processes_one_downloads_and_the_other_waits_for_it(site, tmp_path):
    site.turns, labels = [{"pace": 0.01}], []
    first = child(site, tmp_path, "never")
    first.stdout.readline()
    assert get(site.url, tmp_path, lambda label, *_: labels.append(label)).read_bytes() == TEXT
    first.communicate(timeout=30)
    assert first.returncode == 0 and len(site.asked()) == 1 and labels == ["waiting for another download of trips.csv"]


def test_a_full_disk_is_reported_as_such_and_the_part_on_it_is_continued(site, tmp_path):
    site.files["/trips.csv"] = TEXT * 20
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs a small file system, which only root can mount")
    try:
        with pytest.raises(OSError) as error:
            get(site.url, tmp_path)
        assert error.value.errno == errno.ENOSPC and not list(tmp_path.glob("*/trips.csv"))
        subprocess.run(["mount", "-o", "remount,size=9m", str(tmp_path)], check=True)
        assert get(site.url, tmp_path).read_bytes() == TEXT * 20
        assert int(site.asked()[1].strip("bytes=-")) > 500_000
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
