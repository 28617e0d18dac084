"""The routes. Mounted in the BentoML service as an ASGI app, because BentoML's own API route costs more than the answer."""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bentoml
import prometheus_client
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ml import answers, registry, storage
from ml.answers import Answered
from ml.bundle import Bundle, receipt
from ml.online.parse import Refusal, describe
from ml.places import Places
from serving.openapi import describe_service
from serving.page import render

MAX_BYTES = 8 << 20
MAX_ROWS = 10_000
MAX_REFUSALS = 100  # that a body lists; it counts them all
DIRECT_ROWS = 64  # handing over to a thread costs more than so few rows
log = logging.getLogger("skewless.serving")
# The monitor warns of every value whose role it does not know; these are the roles of the contract.
logging.getLogger("bentoml._internal.monitoring.base").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Served:
    """All that answers: a request uses one of these from its first row to its log line."""

    bundle: Bundle
    openapi: dict[str, Any]


@dataclass
class Champion:
    """The bundle that answers, where it comes from, and what is counted about it.

    `served` is the one reference that a swap replaces. An old bundle is released, with its DuckDB, when the last request that uses it ends.
    """

    root: str
    workspace: str
    project: str
    source: str = "request"  # what its rows are logged as: requests, or a smoke test
    pinned: str | None = None  # serve this bundle, whichever is champion
    served: Served | None = None
    refused: str | None = None  # the version of the record that could not be loaded
    log_path: str = ""
    logged: str = ""  # the version whose file the monitor's logger has open
    stamp: tuple[int, ...] | None = None

    def load(self) -> None:
        """Load the champion, answer its example once, and fail the start of the worker if either is impossible."""
        where = storage.open_storage(self.root, self.workspace)
        self.stamp = registry.champion_stamp(where, self.project)  # before the record is read: what changes after it is seen
        places = Places(where, self.project)
        pinned = self.pinned
        folder = registry.version_folder(where, self.project, pinned) if pinned else registry.champion_folder(where, self.project)
        served = load_served(places, folder)
        self.log_path = str(storage.working_folder(where, places.predictions()))
        self.served = served

    def refresh(self) -> bool:
        """Swap in the champion that the record names, if the record has changed; whether a look was needed.

        One that cannot be loaded is logged once, noted in `refused`, and tried again when the record changes.
        A record that is gone changes nothing.
        """
        where = storage.open_storage(self.root, self.workspace)
        stamp = registry.champion_stamp(where, self.project)
        if self.pinned or stamp is None or stamp == self.stamp:
            return False
        self.stamp, version = stamp, "unknown"
        try:
            folder = registry.champion_folder(where, self.project)
            version = folder.name
            if self.served is None or self.served.bundle.id != version:
                self.served = load_served(Places(where, self.project), folder)
                log.warning("%s:%s serves from now on", self.project, version)
            self.refused = None
        except Exception as error:  # whatever is wrong with the new one, the old one continues to serve
            kept = self.served.bundle.id if self.served else "nothing"
            log.error("%s:%s was promoted and cannot be served, %s continues to serve: %s", self.project, version, kept, error)
            self.refused = version
        return True


def load_served(places: Places, folder: Path) -> Served:
    """A verified bundle with a receipt for this code, that has answered its own example."""
    loaded = receipt.load(places, folder)
    answered = answers.answer(loaded, [loaded.contract.example()], whole=True)
    return Served(loaded, describe_service(loaded, body_of(loaded, answered, "example")))


@dataclass(frozen=True)
class Metrics:
    """Prometheus counters, in addition to BentoML's own on /metrics."""

    predictions: prometheus_client.Counter
    refusals: prometheus_client.Counter
    flags: prometheus_client.Counter
    seconds: prometheus_client.Histogram


def body_of(bundle: Bundle, answered: Answered, request_id: str) -> dict[str, Any]:
    """The body that answers a list of rows."""
    predicted = answered.predictions
    predictions = [
        {
            "prediction": float(predicted.prediction[row]),
            "interval": None
            if predicted.lower is None or predicted.upper is None
            else [float(predicted.lower[row]), float(predicted.upper[row])],
            "flags": answered.flags[row],
        }
        for row in range(len(answered.rows))
    ]
    return {"request_id": request_id, "model_version": bundle.id, "predictions": predictions}


def refused(refusals: list[Refusal], request_id: str) -> dict[str, Any]:
    rows = len({refusal.row for refusal in refusals})
    return {
        "error": f"{rows} row{'s' if rows > 1 else ''} refused, nothing predicted",
        "request_id": request_id,
        "refusals": [refusal.to_dict() for refusal in refusals[:MAX_REFUSALS]],
        "refusal_count": len(refusals),
    }


def build_app(champion: Champion) -> Starlette:
    """The ASGI app over a champion that is loaded later, when the worker starts."""
    metrics = Metrics(
        prometheus_client.Counter("skewless_predictions", "Rows predicted", ["project", "version"]),
        prometheus_client.Counter("skewless_refusals", "Rules broken by rows that were refused", ["project", "rule"]),
        prometheus_client.Counter("skewless_flags", "Flag rules broken by rows that were served", ["project", "rule"]),
        prometheus_client.Histogram("skewless_predict_seconds", "Time from parsed body to answer", ["project"]),
    )

    async def predict(request: Request) -> Response:
        request_id = uuid.uuid4().hex
        try:
            return await respond(request, request_id)
        except Exception:  # the client gets JSON for any error, and the log the same id
            log.exception("request %s ended in an unexpected error", request_id)
            return _error(500, "an unexpected error; the service's log has it under this request id", request_id)

    async def respond(request: Request, request_id: str) -> Response:
        if champion.served is None:
            return _error(503, "no champion is loaded yet", request_id)
        body = await _body(request)
        if body is None:
            return _error(413, f"the body is larger than {MAX_BYTES:,} bytes; send fewer rows at a time", request_id)
        try:
            payload = answers.decode(body)
        except (ValueError, RecursionError) as error:
            return _error(400, f"the body is not JSON: {error}", request_id)
        rows = payload if isinstance(payload, list) else [payload]
        if not rows:
            return _error(400, "the list of rows is empty", request_id)
        if len(rows) > MAX_ROWS:
            return _error(413, f"{len(rows):,} rows are more than {MAX_ROWS:,}; send them in parts", request_id)
        bundle = champion.served.bundle  # only now, so that a slow body does not keep an old bundle in memory
        began = time.perf_counter()
        if len(rows) <= DIRECT_ROWS:
            answered = answers.answer(bundle, rows, whole=True)
        else:
            answered = await run_in_threadpool(answers.answer, bundle, rows, whole=True)
        metrics.seconds.labels(champion.project).observe(time.perf_counter() - began)
        if answered.refusals:
            for refusal in answered.refusals[:MAX_REFUSALS]:
                metrics.refusals.labels(champion.project, refusal.rule).inc()
            return JSONResponse(refused(answered.refusals, request_id), 422)
        answer = body_of(bundle, answered, request_id)
        _log(champion, bundle, request_id, answered)
        metrics.predictions.labels(champion.project, bundle.id).inc(len(rows))
        for name in (name for row in answered.flags for name in row):
            metrics.flags.labels(champion.project, name).inc()
        if not isinstance(payload, list):
            (only,) = answer.pop("predictions")
            answer |= only
        return JSONResponse(answer)

    async def contract(request: Request) -> Response:
        served = champion.served
        if served is None:
            return _error(503, "no champion is loaded yet", uuid.uuid4().hex)
        return JSONResponse({**describe_contract(served.bundle), "refused_version": champion.refused})

    async def openapi(request: Request) -> Response:
        served = champion.served
        return JSONResponse(served.openapi if served else {}, 200 if served else 503)

    async def index(request: Request) -> Response:
        served = champion.served
        return HTMLResponse(render(served.bundle) if served else "no champion is loaded yet", 200 if served else 503)

    return Starlette(
        routes=[
            Route("/", index, methods=["GET"]),
            Route("/predict", predict, methods=["POST"]),
            Route("/contract", contract, methods=["GET"]),
            Route("/openapi.json", openapi, methods=["GET"]),
        ]
    )


def describe_contract(bundle: Bundle) -> dict[str, Any]:
    """What a client may know: the inputs, the rules that are enforced, what is predicted, and by which version."""
    contract = bundle.contract
    target = next(column for column in contract.columns if column.role == "target")
    return {
        "project": contract.project,
        "model_version": bundle.id,
        "task": contract.task,
        "predicts": {"name": target.name, "unit": target.unit or None, "description": target.description},
        "interval_coverage": bundle.model.calibration.get("coverage"),
        "inputs": [describe(column) for column in contract.inputs],
        "rules": [
            {"name": rule.name, "action": rule.action, "inputs": list(rule.inputs), "description": rule.description}
            for rule in contract.rules
            if rule.sql
        ],
        "features": [column.name for column in contract.features],
        "example": contract.example(),
        "limits": {"rows": MAX_ROWS, "bytes": MAX_BYTES},
    }


def _log(champion: Champion, bundle: Bundle, request_id: str, answered: Answered) -> None:
    """One JSON line a row, by BentoML's monitor: the features and the answer, for drift and for later outcomes."""
    features, predicted = answered.features, answered.predictions
    now, count = datetime.now(UTC).isoformat(timespec="milliseconds"), features.num_rows
    with bentoml.monitor(bundle.id, monitor_class="default", monitor_options={"log_path": champion.log_path}) as monitor:
        if champion.logged != bundle.id:
            # All of BentoML's monitors write through one logger, into the file of the monitor that set it up last.
            vars(monitor).update(data_logger=None, schema_logger=None)
            champion.logged = bundle.id
        monitor.log_batch([f"{request_id}-{row}" for row in range(count)], "prediction_id", "key", "categorical")
        monitor.log_batch([now] * count, "predicted_at", "time", "categorical")
        monitor.log_batch([bundle.id] * count, "model_version", "version", "categorical")
        monitor.log_batch([champion.source] * count, "source", "source", "categorical")
        for column in bundle.contract.features:
            monitor.log_batch(features[column.name].to_pylist(), column.name, "feature", column.kind)
        monitor.log_batch(predicted.prediction.tolist(), "prediction", "prediction", "numerical")
        if predicted.lower is not None and predicted.upper is not None:
            monitor.log_batch(predicted.lower.tolist(), "prediction_lower", "prediction", "numerical")
            monitor.log_batch(predicted.upper.tolist(), "prediction_upper", "prediction", "numerical")
        monitor.log_batch([" ".join(names) for names in answered.flags], "flags", "flags", "categorical")


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is known to be too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BYTES:
        return None
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BYTES:
                return None
            parts.append(part)
    except ClientDisconnect:
        log.info("a client left before its request was read")
    return b"".join(parts)


def _error(status: int, message: str, request_id: str) -> Response:
    return JSONResponse({"error": message, "request_id": request_id}, status)
