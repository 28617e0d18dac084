"""Downloads from S3, against the test double of `download_server`: listed over pages, continued under the same ETag."""

import time

import pytest
from download_server import TEXT, be_impatient, get, quiet, serving

from ml.errors import SkewlessError
from ml.ingest import download

KEYS = {"a b.csv": 10, "c.csv": 50_000, "d?e.csv": 30, "f%20.csv": 40, "sub/a b.csv": 50}


@pytest.fixture
def store(tmp_path, monkeypatch):
    be_impatient(monkeypatch)
    none = str(tmp_path / "none")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    for name, value in {"EC2_METADATA_DISABLED": "true", "CONFIG_FILE": none, "SHARED_CREDENTIALS_FILE": none}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving(files={f"/bucket/data/{name}": TEXT[:size] for name, size in KEYS.items()}) as site:
        monkeypatch.setenv("AWS_ENDPOINT_URL", site.url.rpartition("/")[0])
        yield site


def test_s3_lists_all_keys_below_a_prefix_over_pages_and_gets_each(store, tmp_path):
    found = download.find("s3://bucket/data/")
    assert [one.url for one in found] == [f"s3://bucket/data/{name}" for name in sorted(KEYS)] and len(store.asked("LIST")) == 3
    assert [one.name for one in found] == [name.rpartition("/")[2] for name in sorted(KEYS)]
    for one in found:
        assert download.fetch(one, tmp_path, quiet).read_bytes() == store.files[f"/bucket/{one.url[len('s3://bucket/') :]}"]
        assert download.find(one.url) == [one]  # a listing and a head name the same version
    assert len(store.asked()) == len(KEYS)


@pytest.mark.parametrize("stall", [0, 8])
def test_s3_continues_after_a_cut_only_with_the_same_version(store, tmp_path, stall):
    store.turns, began = [{"send": 40_000, "stall": stall}], time.monotonic()
    assert get("s3://bucket/data/c.csv", tmp_path).read_bytes() == TEXT[:50_000]
    assert time.monotonic() - began < 8 and store.guards == ['"1"']
    first, rest = store.asked()
    assert first is None and 40_000 - (1 << 14) <= int(rest.strip("bytes=-")) <= 40_000

    def change(label, done, total):
        if done > 20_000:
            store.mark, store.files["/bucket/data/c.csv"] = '"3"', TEXT[::-1]

    store.mark, store.turns = '"2"', [{"send": 40_000}]
    assert get("s3://bucket/data/c.csv", tmp_path, change).read_bytes() == TEXT[::-1] and store.asked()[-1] is None


def test_s3_errors_say_what_is_missing(store, tmp_path, monkeypatch):
    for source, said in {"s3://bucket/data/no.csv": "404 Not Found", "s3://bucket/none/": "no file is there"}.items():
        with pytest.raises(SkewlessError, match=f"^{source}: {said}"):
            download.find(source)
    store.turns, store.always = [{"send": 40_000}], {"send": 0}
    with pytest.raises(SkewlessError, match=r"promised 50,000 bytes and sent 40,000 \(40\.0 kB are kept"):
        get("s3://bucket/data/c.csv", tmp_path)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID"), monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SkewlessError, match="no AWS credentials") as error:
        download.find("s3://bucket/data/c.csv")
    assert "AWS_ACCESS_KEY_ID" in error.value.hint
