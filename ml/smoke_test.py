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

from ml import children, online, storage, warehouse
from ml import contract as contracts
from ml.contract import Contract
from ml.errors import SkewlessError
from ml.hashing import hash_file, hash_json
from ml.storage import Storage

SINGLE, LIST_SIZE = 300, 500
START_SECONDS = 90
Progress = Callable[[str, float, float], None]


def service_command(port: int, host: str) -> list[str]:
    """The command that serves; `environment` of warehouse and SKEWLESS_PROJECT say what."""
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    return [bentoml, "serve", "serving.service:Predictor", "--host", host, "--port", str(port)]


def service_environment(where: Storage, project: str) -> dict[str, str]:
    home = str(storage.working_folder(where, where.own("bentoml")))
    return {**warehouse.environment(where), "SKEWLESS_PROJECT": project, "BENTOML_HOME": home}


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
def service(where: Storage, checkout: Path, project: str) -> Iterator[int]:
    """The service as its own process on a free port, ready when the block begins and gone when it ends."""
    port = free_port()
    log_path = storage.working_folder(where, where.own("logs")) / f"serve-{project}.log"
    environment = {**service_environment(where, project), "SKEWLESS_SOURCE": "rehearsal"}
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


def rehearse(where: Storage, checkout: Path, project: str, bundle: Path, progress: Progress) -> tuple[dict[str, Any], bool]:
    """Ask the service about the snapshot's test and out-of-time rows; what it said, and whether that stood already."""
    about = json.loads((bundle / "bundle.json").read_text())
    code = {
        str(path.relative_to(checkout)): hash_file(path)
        for folder in (checkout / "serving", checkout / "ml")
        for path in sorted(folder.rglob("*.py"))
    }
    key = where.own(project, "rehearsals", f"{hash_json([about['id'], code])[:12]}.json")
    known = storage.read_json(where, key)
    if known:
        return known, True
    contract = contracts.load(bundle / "contract.json")
    frozen = pq.read_table(storage.fetch(where, where.own(project, "snapshots", about["snapshot"], "requests.parquet")))
    held_back = frozen.filter(pc.field(contract.only("split")).isin(["test", "out_of_time"]))
    rows, truth = (
        _bodies(contract, held_back.select([column.name for column in contract.inputs]).to_pylist()),
        held_back[contract.only("target")].to_pylist(),
    )
    with service(where, checkout, project) as port:
        record = {"model_version": about["id"], **_ask(port, rows, truth, contract.task, progress)}
    storage.write_json(where, key, record)
    return record, False


def _bodies(contract: Contract, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: online.to_json_value(value) for name, value in row.items() if value is not None} for row in rows]


def _ask(port: int, rows: list[dict[str, Any]], truth: list[Any], task: str, progress: Progress) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    empty = [_timed(connection, "GET", "/livez", None)[0] for _ in range(SINGLE)]
    seconds, answers, refused = [], [], 0
    for row in rows[:SINGLE]:
        took, status, body = _timed(connection, "POST", "/predict", row)
        seconds.append(took)
        answers.append(body.get("prediction"))
        refused += status != 200
        progress("asking the service", len(answers), len(rows))
    for start in range(SINGLE, len(rows), LIST_SIZE):
        part = rows[start : start + LIST_SIZE]
        _, status, body = _timed(connection, "POST", "/predict", part)
        refused += len(part) if status != 200 else 0
        answers += [answer["prediction"] for answer in body["predictions"]] if status == 200 else [None] * len(part)
        progress("asking the service", len(answers), len(rows))
    connection.close()
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
        **error,
        "p50_ms": _quantile(seconds, 0.5),
        "p99_ms": _quantile(seconds, 0.99),
        "empty_p50_ms": _quantile(empty, 0.5),
        "ratio_to_empty": round(_quantile(seconds, 0.5) / _quantile(empty, 0.5), 1),
    }


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
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    lines = log.read_text().splitlines() or ["it printed nothing"]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Found|Exit): ", line)]
    raise SkewlessError(f"the service did not get ready: {(named or lines)[-1]}", f"the log is {log}")
