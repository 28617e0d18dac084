"""The log of a verb: a file in the workspace with the command, the versions, what was done, and the traceback of what ended it.

A verb's work never fails because its log cannot be written.
"""

import contextlib
import importlib.metadata
import logging
import logging.handlers
import os
import platform
import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml import storage
from ml.console import plain
from ml.storage import Storage

MAX_LOGS = 200
NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[a-z]+-\d+\.log")
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
PACKAGES = ("skewless", "dbt-core", "dbt-duckdb", "duckdb", "pyarrow", "numpy", "torch", "sqlglot", "bentoml")
log = logging.getLogger(__name__)


@dataclass
class VerbLog:
    """Where the log of the running verb is, or why there is none."""

    path: Path | None = None
    absent: str = ""

    @property
    def place(self) -> str:
        """What a person is shown: the path, from the current folder if it is below it."""
        if self.path is None:
            return f"none could be written: {self.absent}"
        return str(self.path.relative_to(Path.cwd()) if self.path.is_relative_to(Path.cwd()) else self.path)


@contextlib.contextmanager
def written(where: Storage, verb: str, arguments: list[str], debug: bool, lasting: bool) -> Iterator[VerbLog]:
    """Write what the loggers of `ml` and `serving` record in this block to a file, with `debug` to standard error too.

    `lasting`: whether the verb may make the storage root; one that only reads does not, unless it fails and has a log to leave.
    """
    found = VerbLog()
    file = _file_handler(where, verb, found) if lasting or storage.exists(where, "") else None
    held = None if file or found.absent else logging.handlers.MemoryHandler(10_000, logging.CRITICAL + 1)
    possible = (file, held, logging.StreamHandler(sys.stderr) if debug else None)
    handlers: list[logging.Handler] = [handler for handler in possible if handler]
    handlers = handlers or [logging.NullHandler()]  # without any, the logging module itself would print
    loggers = [logging.getLogger(name) for name in ("ml", "serving")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        handler.addFilter(_as_plain)
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG if debug else logging.INFO)
            logger.propagate = False
    logging.raiseExceptions = False  # a full disk must not fill the terminal with the tracebacks of the logging module
    try:
        _begin(where, verb, arguments)
        yield found
    except BaseException as error:
        log.error("ended by %s", type(error).__name__, exc_info=error)
        if held is not None and (late := _file_handler(where, verb, found)):
            held.setTarget(late)
            handlers.append(late)
        raise
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            for handler in list(logger.handlers):
                if handler in handlers:
                    logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
        for handler in handlers:
            with contextlib.suppress(OSError):
                handler.close()


def _file_handler(where: Storage, verb: str, found: VerbLog) -> logging.FileHandler | None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    try:
        folder = storage.working_folder(where, where.own("logs"))
        for name in [name for name in storage.names(where, where.own("logs")) if NAME.fullmatch(name)][: -MAX_LOGS + 1]:
            (folder / name).unlink(missing_ok=True)
        path = folder / f"{stamp}Z-{verb}-{os.getpid()}.log"
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        found.absent = f"{error.strerror or error}"
        return None
    handler.setFormatter(logging.Formatter(FORMAT))
    found.path = path
    return handler


def _begin(where: Storage, verb: str, arguments: list[str]) -> None:
    log.info("command: %s", shlex.join(["skewless", *(_without_secrets(argument) for argument in arguments)]))
    log.info("working in %s, storage root %s, workspace %s, process %d", Path.cwd(), where.root, where.workspace, os.getpid())
    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith("SKEWLESS_")}
    log.info("settings: %s", ", ".join(f"{name}={value}" for name, value in settings.items()) or "none")
    log.info("versions: Python %s on %s, %s", platform.python_version(), platform.platform(), ", ".join(map(_version, PACKAGES)))


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} missing"


def _without_secrets(argument: str) -> str:
    """An address without its user and query, which may carry a signature."""
    return re.sub(r"(?<=://)[^/@\s]*@|\?.*$", "", argument) if "://" in argument else argument


def _as_plain(record: logging.LogRecord) -> bool:
    """Every record one line, and no control character in it or in its traceback."""
    record.msg, record.args = plain(record.getMessage(), keep="\n").replace("\n", "\n    "), ()
    if record.exc_info and not record.exc_text:
        record.exc_text = plain("".join(traceback.format_exception(*record.exc_info)), keep="\n").rstrip("\n")
    return True
