"""Another champion takes over while clients ask: the real service, promoted under, rolled back and given a damaged version."""

import gc
import json
import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

import httpx
import pytest
from conftest import Checkout

from ml import registry, smoke_test, storage
from ml.online.parse import parse
from ml.storage import Storage
from serving.app import Champion

ROW = {"sent_at": "2024-03-05T14:30:00", "depot": "A", "carrier": "swift", "weight_g": 1200, "is_priority": False}
HANDLER = "      - {name: handler, data_type: varchar, description: Who signs for it., "
CLIENTS, PAUSE_SECONDS = 5, 0.08  # about 50 requests a second


@dataclass(frozen=True)
class Versions:
    """Three packaged versions: the champion, one like it, and one that requires the input `handler` too."""

    first: str
    second: str
    wider: str


@dataclass
class Client:
    """One connection that asks until the event is set, and what it received: (sent, received, status, body)."""

    port: int
    stop: threading.Event
    seen: list[tuple[float, float, int, dict]] = field(default_factory=list)

    def ask(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60) as connection:
            while not self.stop.wait(PAUSE_SECONDS):
                sent = time.monotonic()
                try:
                    reply = connection.post("/predict", json=ROW)
                    self.seen.append((sent, time.monotonic(), reply.status_code, reply.json()))
                except (httpx.HTTPError, ValueError) as error:
                    self.seen.append((sent, time.monotonic(), 599, {"error": repr(error)}))


@pytest.fixture(scope="module")
def where(lived: Checkout) -> Storage:
    return storage.open_storage(str(lived.root), "default")


@pytest.fixture(scope="module")
def versions(lived: Checkout) -> Versions:
    first = json.loads((lived.own / "champion").read_text())["version"]
    lived.skewless("train", "toy", "--epochs", "3")
    second = lived.json("package", "toy")["version"]
    clean = "models/toy/marts/toy_clean"
    lived.edit(f"{clean}.sql", "    sent_at,\n    depot,", "    sent_at,\n    coalesce(carrier, 'nobody') as handler,\n    depot,")
    entry = HANDLER + "config: {meta: {role: input, required: true, example: swift}}}\n"
    lived.edit(f"{clean}.yml", "      - {name: depot,", entry + "      - {name: depot,")
    for verb, *options in (["build"], ["snapshot"], ["train", "--epochs", "3"]):
        lived.skewless(verb, "toy", *options)
    return Versions(first, second, lived.json("package", "toy")["version"])


@pytest.fixture(scope="module")
def port(where: Storage, lived: Checkout, versions: Versions) -> Iterator[int]:
    with smoke_test.service(where, lived.folder, "toy") as opened:
        yield opened


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60)


def until_served(port: int, version: str) -> None:
    """Wait until a version is swapped in; the watch looks once a second."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if get(port, "/contract").json()["model_version"] == version:
            return
        time.sleep(0.1)
    raise AssertionError(f"{version} was not swapped in")


def until_all_saw_it(clients: list[Client]) -> None:
    """Wait until every client has asked again and been answered: two more answers, as one may have been on its way."""
    seen, end = [len(client.seen) for client in clients], time.monotonic() + 60
    while any(len(client.seen) < before + 2 for client, before in zip(clients, seen, strict=True)):
        assert time.monotonic() < end, "a client has stopped asking"
        time.sleep(0.02)


def crown(where: Storage, version: str) -> None:
    """The record as `promote` writes it, for versions that promote would refuse, and without its seconds."""
    record = registry.champion(where, "toy")
    storage.write_json(where, where.own("toy", "champion"), {**(record or {}), "version": version})


def spoil(where: Storage, version: str, name: str) -> str:
    """A copy of a version in the store, with one byte of its weights turned."""
    models = storage.fetch(where, where.own("bentoml", "models", "toy"))
    folder = Path(shutil.copytree(models / version, models / name, dirs_exist_ok=True))
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(weights))
    return name


def answered_by(status: int, body: dict) -> str:
    """The version that answered, or what went wrong."""
    if status == 422 and [refusal["field"] for refusal in body["refusals"]] == ["handler"]:
        return "wider"
    return body.get("model_version", f"{status} {body}") if status == 200 else f"{status} {body}"


def test_clients_see_each_swap_once_and_no_failure(lived: Checkout, where: Storage, versions: Versions, port: int) -> None:
    stop = threading.Event()
    clients = [Client(port, stop) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.ask) for client in clients]
    for thread in threads:
        thread.start()
    try:
        lived.skewless("promote", "toy", "--bundle", versions.second, "--force")
        until_served(port, versions.second)
        until_all_saw_it(clients)
        lived.skewless("rollback", "toy")
        until_served(port, versions.first)
        until_all_saw_it(clients)
        lived.skewless("promote", "toy", "--bundle", versions.wider, "--force")
        until_served(port, versions.wider)
        wider = get(port, "/openapi.json").json(), get(port, "/contract").json(), get(port, "/").text
        new_client = httpx.post(f"http://127.0.0.1:{port}/predict", json={**ROW, "handler": "swift"}, timeout=60)
        until_all_saw_it(clients)
        lived.skewless("rollback", "toy")
        until_served(port, versions.first)
        until_all_saw_it(clients)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    expected = [versions.first, versions.second, versions.first, "wider", versions.first]
    phases = []
    for client in clients:
        parts = [(name, list(rows)) for name, rows in groupby(client.seen, lambda seen: answered_by(seen[2], seen[3]))]
        assert [name for name, _ in parts] == expected
        phases.append([rows for _, rows in parts])
    for before, after in pairwise(range(len(expected))):
        first_new = min(rows[after][0][1] for rows in phases)
        assert max(rows[before][-1][0] for rows in phases) <= first_new, "a request begun after the first new answer got the old one"

    document, contract, page = wider
    assert document["info"]["version"] == contract["model_version"] == new_client.json()["model_version"] == versions.wider
    assert "handler" in document["components"]["schemas"]["Row"]["required"] and "handler" in page
    assert {"handler"} <= {entry["name"] for entry in contract["inputs"] if entry["required"]}
    assert "handler" not in get(port, "/openapi.json").text

    answers = {(body["model_version"], body["request_id"]) for client in clients for _, _, status, body in client.seen if status == 200}
    logged = {
        (folder.name, json.loads(line)["prediction_id"].rpartition("-")[0])
        for folder in (lived.own / "predictions").iterdir()
        for path in (folder / "data").iterdir()
        for line in path.read_text().splitlines()
    }
    assert answers <= logged and {version for version, _ in answers} == {versions.first, versions.second}
    assert not {(other, request) for version, request in answers for other in expected if other != version} & logged


def test_a_damaged_champion_is_not_swapped_in_and_is_reported(where: Storage, versions: Versions, port: int) -> None:
    assert get(port, "/contract").json()["refused_version"] is None
    crown(where, spoil(where, versions.second, "damaged"))
    end = time.monotonic() + 60
    while get(port, "/contract").json()["refused_version"] != "damaged" and time.monotonic() < end:
        time.sleep(0.1)
    said = get(port, "/contract").json()
    assert (said["refused_version"], said["model_version"]) == ("damaged", versions.first)
    assert get(port, "/readyz").status_code == 200
    reply = httpx.post(f"http://127.0.0.1:{port}/predict", json=ROW, timeout=60)
    assert reply.status_code == 200 and reply.json()["model_version"] == versions.first
    crown(where, versions.second)
    until_served(port, versions.second)
    assert get(port, "/contract").json()["refused_version"] is None


def test_metrics_say_which_version_serves(versions: Versions, port: int) -> None:
    lines = get(port, "/metrics").text.splitlines()
    serving = {line.split('version="')[1].split('"')[0]: float(line.split()[-1]) for line in lines if line.startswith("skewless_champion{")}
    assert serving == {versions.first: 0, versions.second: 1, versions.wider: 0}
    assert 'skewless_champion_refused{project="toy"} 0.0' in lines


@pytest.fixture
def champion(where: Storage, lived: Checkout, versions: Versions) -> Champion:
    crown(where, versions.first)
    loaded = Champion(str(lived.root), "default", "toy")
    loaded.load()
    return loaded


def test_ten_swaps_leave_no_bundle_connection_or_thread_behind(where: Storage, versions: Versions, champion: Champion) -> None:
    held, threads, files = [], threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    gc.disable()  # a service may run without it
    try:
        for number in range(10):
            assert champion.served
            held.append(weakref.ref(champion.served.bundle.online))
            crown(where, versions.second if number % 2 == 0 else versions.first)
            assert champion.refresh()
        assert not [old for old in held if old() is not None]
    finally:
        gc.enable()
    assert threading.active_count() == threads and len(list(Path("/proc/self/fd").iterdir())) <= files


def test_a_request_in_flight_ends_on_the_bundle_with_which_it_began(where: Storage, versions: Versions, champion: Champion) -> None:
    assert champion.served
    bundle = champion.served.bundle
    crown(where, versions.wider)
    assert champion.refresh() and champion.served.bundle.id == versions.wider
    inputs, _ = parse(bundle.contract, [ROW])
    assert bundle.id == versions.first and bundle.online.features(inputs).num_rows == 1


def test_a_record_that_vanishes_or_cannot_be_read_keeps_what_serves(where: Storage, versions: Versions, champion: Champion) -> None:
    record = storage.fetch(where, where.own("toy", "champion"))
    text = record.read_text()
    record.unlink()
    assert not champion.refresh() and champion.served and champion.served.bundle.id == versions.first
    record.write_text("{")
    assert champion.refresh() and champion.refused and champion.served.bundle.id == versions.first
    assert not champion.refresh()  # and says so once
    record.write_text(text)
    assert champion.refresh() and champion.refused is None
