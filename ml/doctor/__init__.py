"""Checks of the machine and the installation; inspection.py checks what is stored."""

import importlib.metadata
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from ml import storage
from ml.doctor import inspection
from ml.doctor.inspection import Check, judged
from ml.errors import SkewlessError
from ml.storage import Storage

PORT = 3000
LOW_DISK_BYTES, MIN_DISK_BYTES = 5_000_000_000, 500_000_000
MEMORY_LOW = 2_000_000_000
Progress = Callable[[str, float, float], None]


def examine(where: Storage, checkout: Path, projects: list[str], deep: bool, progress: Progress) -> list[Check]:
    """Every check, in order; one that cannot be made fails and says why.

    Without `deep` only the champion's files are hashed; of all else the names, records and Parquet footers are read.
    """
    planned: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("interpreter", lambda: _interpreter(checkout)),
        ("packages", lambda: _packages(checkout)),
        ("programs", _programs),
        ("disk", lambda: _disk(where)),
        ("memory", lambda: _memory(where)),
        ("leftovers", lambda: _leftovers(where, projects)),  # before the probes, whose writing removes some
        ("storage root", lambda: _writable(where, "storage root", "")),
        ("workspace", lambda: _writable(where, "workspace", where.own())),
        ("port", _port),
        ("telemetry", lambda: _telemetry(checkout)),
        ("target", _target),
        ("locks", lambda: _locks(where, projects)),
        ("ledger", lambda: _ledger(where)),
    ]
    for project in projects:
        planned += inspection.plan(where, checkout, project, deep)
    found: list[Check] = []
    for done, (name, make) in enumerate(planned):
        progress("looking", done, len(planned))
        try:
            found += make()
        except SkewlessError as error:
            found.append(Check(name, "fail", str(error), error.hint))
        except ImportError as error:
            found.append(Check(name, "fail", f"cannot be looked at: {error}", "install the project again: make setup"))
        except Exception as error:  # a broken check must not prevent the others
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            found.append(Check(name, "fail", f"cannot be checked: {said}", "fix or delete what is named"))
    return found


def _interpreter(checkout: Path) -> Iterator[Check]:
    version = sys.version_info[:2]
    wanted = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["requires-python"]
    clauses = re.findall(r"(>=|<)\s*(\d+)\.(\d+)", wanted)
    good = all((version >= (int(a), int(b))) if sign == ">=" else version < (int(a), int(b)) for sign, a, b in clauses)
    text = f"Python {sys.version.split()[0]}, {wanted} is asked for"
    yield Check("interpreter", "ok" if good else "fail", text, "" if good else "set up again: make setup PYTHON=python3.11")


def _packages(checkout: Path) -> Iterator[Check]:
    """Installed versions against the lock; a missing package that the project itself imports fails."""
    lock = checkout / "requirements.lock"
    if not lock.exists():
        yield Check("packages", "warn", "there is no requirements.lock to compare with", "take it from the repository, or: make lock")
        return
    pairs = [line.split("==") for line in lock.read_text().splitlines() if "==" in line and not line.startswith("#")]
    locked = {_plain(name): version.split(";")[0].strip() for name, version in pairs}
    installed = {_plain(part.metadata["Name"]): part.version.split("+")[0] for part in importlib.metadata.distributions()}
    asked = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["dependencies"]
    own = {_plain(re.split(r"[^\w.-]", line)[0]) for line in asked}
    missing = [name for name in locked if name not in installed]
    differing = [f"{name} {installed[name]}, not {version}" for name, version in locked.items() if installed.get(name, version) != version]
    problems = [f"{name} is missing" for name in missing] + differing
    lacks = own & set(missing) or own - set(installed)
    do = "install what is locked: make setup, after deleting .venv/.ready"
    fine = f"all {len(locked)} are those of requirements.lock"
    yield judged("packages", problems or [f"{name} is missing" for name in sorted(lacks)], fine, do, "fail" if lacks else "warn")


def _programs() -> Iterator[Check]:
    missing = [name for name in ("dbt", "bentoml") if not Path(sys.executable).with_name(name).exists()]
    problems = [f"there is no {name} next to {sys.executable}" for name in missing]
    yield judged("programs", problems, "dbt and bentoml are next to the interpreter", "install the project again: make setup")


def _disk(where: Storage) -> Iterator[Check]:
    free = storage.free_bytes(where)
    status = "fail" if free < MIN_DISK_BYTES else "warn" if free < LOW_DISK_BYTES else "ok"
    do = "" if status == "ok" else "free some space, or set SKEWLESS_ROOT to a folder on another disk"
    yield Check("disk", status, f"{free / 1e9:.1f} GB free at the storage root", do)


def _memory(where: Storage) -> Iterator[Check]:
    """What is available now, with the most that a step has needed here."""
    try:
        text = Path("/proc/meminfo").read_text()
        available = int(re.findall(r"MemAvailable:\s+(\d+)", text)[0]) * 1024
    except (OSError, IndexError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    peak = max((row.peak_memory_bytes for row in inspection.ledger_rows(where)[0]), default=0)
    low = available < max(MEMORY_LOW, peak)
    known = f"; the largest step so far took {peak / 1e9:.1f} GB" if peak else ""
    do = "end other programs, or use a machine with more" if low else ""
    yield Check("memory", "warn" if low else "ok", f"{available / 1e9:.1f} GB available{known}", do)


def _writable(where: Storage, name: str, key: str) -> Iterator[Check]:
    place = where.uri(key).rstrip("/")
    try:
        storage.probe(where, key)
    except OSError as error:
        says = f"{place} cannot be written: {error.strerror or error}"
        yield Check(name, "fail", says, "set SKEWLESS_ROOT to a folder that is yours")
        return
    yield Check(name, "ok", f"{place} {'can be written' if storage.exists(where, key) else 'will be made when it is needed'}")


def _port() -> Iterator[Check]:
    from ml import smoke_test

    if smoke_test.is_taken("127.0.0.1", PORT):
        yield Check("port", "warn", f"port {PORT} is taken", f"serve on another: skewless serve PROJECT --port {PORT + 1}")
    else:
        yield Check("port", "ok", f"port {PORT} is free")


def _telemetry(checkout: Path) -> Iterator[Check]:
    flags = (yaml.safe_load((checkout / "dbt_project.yml").read_text()) or {}).get("flags", {})
    problems = []
    if flags.get("send_anonymous_usage_stats") is not False:
        problems.append("dbt_project.yml lets dbt send usage statistics")
    problems += [f"{name} is not set" for name in ("DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK") if not os.environ.get(name)]
    do = "set send_anonymous_usage_stats: false under flags, and both variables to 1"
    yield judged("telemetry", problems, "off for dbt, BentoML and Evidently", do, "warn")


def _target() -> Iterator[Check]:
    """The engine that is asked for; credentials are looked for, never read."""
    target = os.environ.get("SKEWLESS_TARGET", "duckdb")
    if target == "duckdb":
        yield Check("target", "ok", "duckdb, which needs no account")
    elif target != "athena":
        yield Check("target", "fail", f"SKEWLESS_TARGET is {target!r}", "set it to duckdb or athena")
    else:
        given = (
            {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(os.environ)
            or any(os.environ.get(name) for name in ("AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"))
            or any(name.startswith("AWS_CONTAINER_CREDENTIALS_") for name in os.environ)
        )
        file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
        if given or file.is_file():
            yield Check("target", "ok", f"athena, with credentials in {'the environment' if given else file}; not tried")
        else:
            do = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            yield Check("target", "fail", f"athena, but no credentials in the environment or {file}", do)


def _locks(where: Storage, projects: list[str]) -> Iterator[Check]:
    keys = {where.own("build.lock"): "builds", **{f"raw/{project}/.lock": f"ingests of {project}" for project in projects}}
    held = [f"{what} wait for {who}" for key, what in keys.items() if (who := storage.holder(where, key))]
    do = "wait for it, or end that process; a second workspace builds at the same time"
    yield judged("locks", held, "no build or ingest is running", do, "warn")


def _leftovers(where: Storage, projects: list[str]) -> Iterator[Check]:
    found = storage.leftovers(where)
    dead, elsewhere = ([name for name, owner in found if owner == state] for state in ("dead", "elsewhere"))
    problems = [f"{len(dead)} temporary folders of killed processes"] if dead else []
    problems += [f"{where.uri('tmp')}/{name} is of another machine" for name in elsewhere]
    for project in projects:
        names = storage.names(where, where.own(project, "runs"))
        problems += [f"{name} of {project} is not finished" for name in names if name.endswith(".checkpoint")]
    do = "the next write removes folders of killed processes, skewless train continues from a checkpoint; delete others by hand"
    yield judged("leftovers", problems, "none", do, "warn")


def _ledger(where: Storage) -> Iterator[Check]:
    rows, bad = inspection.ledger_rows(where)
    place = where.uri(where.own("ledger"))
    yield judged("ledger", bad, f"{len(rows):,} rows" if rows else "no rows yet", f"delete what is damaged in {place}")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
