"""The real BentoML service on a port, asked by a real client."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import Checkout
from openapi_spec_validator import validate

from ml import smoke_test, storage
from serving import app

ROW = {"sent_at": "2024-03-05T14:30:00", "depot": "A", "carrier": "swift", "weight_g": 1200, "is_priority": False}


@pytest.fixture(scope="module")
def client(lived: Checkout) -> Iterator[httpx.Client]:
    where = storage.open_storage(str(lived.root), "default")
    with smoke_test.service(where, lived.folder, "toy") as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as opened:
        yield opened


def test_one_row_gets_one_answer(client: httpx.Client) -> None:
    reply = client.post("/predict", json=ROW)
    body = reply.json()
    assert reply.status_code == 200
    assert 0 < body["prediction"] < 1 and body["interval"] is None and body["flags"] == []
    assert len(body["request_id"]) == 32 and body["model_version"] == client.get("/contract").json()["model_version"]


def test_a_list_gets_an_answer_a_row_in_its_order(client: httpx.Client) -> None:
    rows = [{**ROW, "weight_g": 100 + 97 * index} for index in range(90)]
    several = client.post("/predict", json=rows).json()["predictions"]
    single = [client.post("/predict", json=row).json()["prediction"] for row in rows[::30]]
    assert [answer["prediction"] for answer in several[::30]] == pytest.approx(single, rel=1e-6)
    assert len({answer["prediction"] for answer in several}) > 80


def test_unknown_categories_and_missing_optional_inputs_are_served(client: httpx.Client) -> None:
    assert client.post("/predict", json={**ROW, "carrier": "nobody has heard of it", "depot": "Q"}).status_code == 200
    assert client.post("/predict", json={"sent_at": ROW["sent_at"], "depot": "A"}).status_code == 200
    assert client.post("/predict", json={**ROW, "carrier": None}).status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "rule", "value"),
    [
        ({"weight_g": 990_000}, "weight_g", "ok_weight", 990_000),
        ({"weight_g": "heavy"}, "weight_g", "integer", "heavy"),
        ({"weight_g": 1.5}, "weight_g", "integer", 1.5),
        ({"sent_at": "2024-03-05T14:30:00+01:00"}, "sent_at", "timestamp", "2024-03-05T14:30:00+01:00"),
        ({"sent_at": None}, "sent_at", "required", None),
        ({"carier": "swift"}, "carier", "known", "swift"),
        ({"is_priority": "no"}, "is_priority", "boolean", "no"),
    ],
)
def test_a_bad_row_is_refused_by_field_rule_and_value(client: httpx.Client, change: dict, field: str, rule: str, value: object) -> None:
    reply = client.post("/predict", json=[ROW, {**ROW, **change}])
    (refusal,) = reply.json()["refusals"]
    assert reply.status_code == 422
    assert (refusal["row"], refusal["field"], refusal["rule"], refusal["value"]) == (1, field, rule, value)
    assert refusal["message"]


def test_a_flag_rule_is_served_and_counted(client: httpx.Client) -> None:
    assert client.post("/predict", json={**ROW, "depot": "Z"}).json()["flags"] == ["ok_depot_open"]
    assert 'skewless_flags_total{project="toy",rule="ok_depot_open"}' in client.get("/metrics").text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"depot": NaN}'])
def test_a_body_that_is_no_json_is_a_400(client: httpx.Client, body: bytes) -> None:
    reply = client.post("/predict", content=body)
    assert reply.status_code == 400 and reply.json()["error"]


@pytest.mark.parametrize(
    "body", [b"3", b'"text"', b"null", b"[null, [1]]", b'{"weight_g": 1e999}', b'{"depot": "\\ud800"}', b'{"\\ud800": 1}']
)
def test_json_that_is_no_row_is_a_422(client: httpx.Client, body: bytes) -> None:
    reply = client.post("/predict", content=body)
    assert reply.status_code == 422 and reply.json()["refusals"]


def test_too_many_rows_or_bytes_are_a_413(client: httpx.Client) -> None:
    assert client.post("/predict", json=[{}] * (app.MAX_ROWS + 1)).status_code == 413
    assert client.post("/predict", content=b" " * (app.MAX_BYTES + 1)).status_code == 413
    chunks = (b" " * 1_000_000 for _ in range(app.MAX_BYTES // 1_000_000 + 2))
    assert client.post("/predict", content=chunks).status_code == 413


def test_the_openapi_document_is_valid_and_its_example_works(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    post = document["paths"]["/predict"]["post"]
    example = post["requestBody"]["content"]["application/json"]["example"]
    shown = post["responses"]["200"]["content"]["application/json"]["example"]
    assert client.post("/predict", json=example).json()["prediction"] == pytest.approx(shown["prediction"], rel=1e-6)


def test_liveness_readiness_and_metrics_answer(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200 and client.get("/readyz").status_code == 200
    assert "skewless_predictions_total" in client.get("/metrics").text


def test_the_page_names_the_project_and_every_input(client: httpx.Client) -> None:
    page = client.get("/").text
    assert all(name in page for name in ("toy", "is_late", *ROW))


def test_each_answered_row_is_one_line_of_the_prediction_log(client: httpx.Client, lived: Checkout) -> None:
    version = client.get("/contract").json()["model_version"]
    request_id = client.post("/predict", json=[ROW, {**ROW, "carrier": None}]).json()["request_id"]
    refused = client.post("/predict", json={**ROW, "weight_g": -1}).json()["request_id"]
    lines = [
        json.loads(line) for path in (lived.own / "predictions" / version / "data").iterdir() for line in path.read_text().splitlines()
    ]
    mine = [line for line in lines if line["prediction_id"].startswith(request_id)]
    assert [line["prediction_id"] for line in mine] == [f"{request_id}-0", f"{request_id}-1"]
    assert mine[0]["weight_kg"] == 1.2 and mine[1]["carrier"] is None and 0 < mine[0]["prediction"] < 1
    assert not any(line["prediction_id"].startswith(refused) for line in lines)


def test_clients_at_once_get_the_answers_of_one_after_the_other(client: httpx.Client) -> None:
    rows = [{**ROW, "weight_g": 100 + index} for index in range(60)]
    alone = [client.post("/predict", json=row).json()["prediction"] for row in rows]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda row: client.post("/predict", json=row).json()["prediction"], rows))
    assert together == pytest.approx(alone, rel=1e-6)


def test_a_service_that_is_asked_to_stop_leaves_no_worker(lived: Checkout) -> None:
    port = smoke_test.free_port()
    process = subprocess.Popen(
        lived.command("serve", "toy", "--port", str(port)),
        cwd=lived.folder,
        env=lived.environment(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                break
        time.sleep(0.2)
    assert httpx.post(f"http://127.0.0.1:{port}/predict", json=ROW).status_code == 200
    process.terminate()
    process.wait(30)
    time.sleep(1)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/readyz")


def test_no_worker_loads_pandas_evidently_or_dbt(client: httpx.Client) -> None:
    assert client.post("/predict", json=[ROW] * 100).status_code == 200
    port = client.base_url.port
    loaded = ""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(port) in (process / "cmdline").read_text():
                children = (process / "task" / process.name / "children").read_text().split()
                loaded += "".join(Path("/proc", child, "maps").read_text() for child in [process.name, *children])
    assert "torch" in loaded and "duckdb" in loaded
    assert not any(f"site-packages/{name}/" in loaded for name in ("pandas", "evidently", "dbt", "sklearn", "scipy"))
