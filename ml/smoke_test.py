"""The real service on a free port, asked about held-back rows: what it answers, how well, how fast."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import bundle as bundles
from ml import children, provenance, storage, warehouse
from ml import contract as contracts
from ml.errors import GateError, SkewlessError
from ml.online.parse import request_row
from ml.places import Places
from ml.storage import Storage

SINGLE, LIST_SIZE = 300, 500
START_SECONDS = 90
Progress = Callable[[str, float, float], None]


def service_command(port: int, host: str) -> list[str]:
    """The command that serves; `environment` of warehouse and SKEWLESS_PROJECT say what."""
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    return [bentoml, "serve", "serving.service:Predictor", "--host", host, "--port", str(port)]


def service_environment(where: Storage, project: str, bundle: str | None = None) -> dict[str, str]:
    """What the service reads when it starts. `bundle`: the one to serve, or the champion."""
    home = str(storage.working_folder(where, where.own("bentoml")))
    return {**warehouse.environment(where), "SKEWLESS_PROJECT": project, "SKEWLESS_BUNDLE": bundle or "", "BENTOML_HOME": home}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False


@contextlib.contextmanager
def service(where: Storage, checkout: Path, project: str, bundle: str | None = None) -> Iterator[int]:
    """The service as its own process on a free port, ready when the block begins and gone when it ends."""
    port = free_port()
    log_path = storage.working_folder(where, where.own("logs")) / f"serve-{project}.log"
    environment = {**service_environment(where, project, bundle), "SKEWLESS_SOURCE": "smoke_test"}
    with open(log_path, "w") as log:
        process = subprocess.Popen(
            children.bound(service_command(port, "127.0.0.1")), cwd=checkout, env=environment,
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            _wait_until_ready(process, port, log_path)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def smoke_test(places: Places, checkout: Path, bundle: Path, progress: Progress) -> tuple[dict[str, Any], bool]:
    """Ask the service with this bundle about the snapshot's test and out-of-time rows; what it said, and whether that was stored already.

    Raises:
        GateError: when one of these rows is refused: the warehouse has judged all of them good.
    """
    where, about = places.where, bundles.about(bundle)
    key = places.smoke_test(provenance.key("ml.smoke_test", "serving.service", bundle=about.id))
    record = storage.read_json(where, key)
    unchanged = record is not None
    if record is None:
        contract = contracts.load(bundle / "contract.json")
        frozen = pq.read_table(storage.fetch(where, f"{places.snapshot(about.snapshot)}/requests.parquet"))
        held_back = frozen.filter(pc.field(contract.only("split")).isin(["test", "out_of_time"]))
        rows = [request_row(row) for row in held_back.select([column.name for column in contract.inputs]).to_pylist()]
        truth = held_back[contract.only("target")].to_pylist()
        with service(where, checkout, places.project, about.id) as port:
            record = {"model_version": about.id, **_ask(port, rows, truth, contract.task, progress)}
        storage.write_json(where, key, record)
    if record["refused"]:
        raise GateError(
            f"the service refuses {record['refused']:,} of {record['asked']:,} held-back rows, first: {record['first_refusal']}",
            "a request must be judged as the warehouse judged the same row; look at the rule or the input that is named",
        )
    return record, unchanged


def _ask(port: int, rows: list[dict[str, Any]], truth: list[Any], task: str, progress: Progress) -> dict[str, Any]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        return _asked(connection, rows, truth, task, progress)


def _asked(
    connection: http.client.HTTPConnection, rows: list[dict[str, Any]], truth: list[Any], task: str, progress: Progress
) -> dict[str, Any]:
    empty = [_timed(connection, "GET", "/livez", None)[0] for _ in range(SINGLE)]
    seconds: list[float] = []
    answers: list[float | None] = []
    refused, first_refusal = 0, ""
    for row in rows[:SINGLE]:
        took, status, body = _timed(connection, "POST", "/predict", row)
        seconds.append(took)
        answers.append(body.get("prediction"))
        refused += status != 200
        first_refusal = first_refusal or _said(status, body)
        progress("asking the service", len(answers), len(rows))
    for start in range(SINGLE, len(rows), LIST_SIZE):
        part = rows[start : start + LIST_SIZE]
        _, status, body = _timed(connection, "POST", "/predict", part)
        refused += len({refusal["row"] for refusal in body.get("refusals", [])} or part) if status != 200 else 0
        first_refusal = first_refusal or _said(status, body)
        answers += [answer["prediction"] for answer in body["predictions"]] if status == 200 else [None] * len(part)
        progress("asking the service", len(answers), len(rows))
    pairs = np.array([(t, a) for t, a in zip(truth, answers, strict=True) if a is not None], float).reshape(-1, 2)
    error = (
        {"rmse": float(np.sqrt(((pairs[:, 0] - pairs[:, 1]) ** 2).mean()))}
        if task == "regression"
        else {"brier": float(((pairs[:, 0] - pairs[:, 1]) ** 2).mean())}
    )
    return {
        "asked": len(rows),
        "answered": len(pairs),
        "refused": refused,
        "first_refusal": first_refusal,
        **error,
        "p50_ms": _quantile(seconds, 0.5),
        "p99_ms": _quantile(seconds, 0.99),
        "empty_p50_ms": _quantile(empty, 0.5),
        "ratio_to_empty": round(_quantile(seconds, 0.5) / _quantile(empty, 0.5), 1),
    }


def _said(status: int, body: dict[str, Any]) -> str:
    """What a refusing answer says of its first row; nothing for a good one."""
    if status == 200:
        return ""
    first = (body.get("refusals") or [{}])[0]
    return f"status {status}, {first.get('field', '')} {first.get('value', '')!r}: {first.get('message') or body.get('error')}"


def _timed(connection: http.client.HTTPConnection, method: str, path: str, payload: Any) -> tuple[float, int, dict[str, Any]]:
    body = None if payload is None else json.dumps(payload)
    began = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    took = time.perf_counter() - began
    return took, response.status, json.loads(text) if payload is not None else {}


def _quantile(seconds: list[float], level: float) -> float:
    return round(float(np.quantile(seconds, level)) * 1000, 2)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None and "startup failed" not in log.read_text():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    lines = log.read_text().splitlines() or ["it printed nothing"]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Found|Exit): ", line)]
    raise SkewlessError(f"the service did not get ready: {(named or lines)[-1]}", f"the log is {log}")
