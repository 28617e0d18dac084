"""Versions in BentoML's model store, the champion, and the way back."""

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from ml import bundle, storage
from ml.errors import GateError
from ml.storage import Storage


@dataclass(frozen=True)
class Promotion:
    """What promote or rollback did. `withheld`: a version that was rolled back, and that only its name promotes again."""

    version: str
    previous: str | None
    unchanged: bool
    withheld: str | None = None


def add(where: Storage, project: str, folder: Path) -> str:
    """Copy a verified bundle into the model store; its tag, `project:id`. A version that is there is kept."""
    about = bundle.verify(folder)
    store = _store(where)
    tag = f"{project}:{about['id']}"
    if tag not in {str(model.tag) for model in _models(store, project)}:
        with store.models.create(tag, labels={"project": project, "snapshot": about["snapshot"], "run": about["run"]}) as model:
            shutil.copytree(folder, model.path, dirs_exist_ok=True)
    return tag


def versions(where: Storage, project: str) -> list[dict[str, Any]]:
    """Every version of a project, newest first, with its metrics and whether it is champion."""
    current = champion(where, project)
    found = []
    for model in sorted(_models(_store(where), project), key=lambda model: model.info.creation_time, reverse=True):
        metrics = storage.read_json(where, where.own("bentoml", "models", project, model.tag.version or "", "metrics.json")) or {}
        found.append({
            "version": model.tag.version,
            "created_at": model.info.creation_time.isoformat(timespec="seconds"),
            "snapshot": model.info.labels.get("snapshot"),
            "champion": current is not None and current["version"] == model.tag.version,
            "test": {name: value for name, value in (metrics.get("test") or {}).items() if isinstance(value, float)},
            "production": {name: value for name, value in (metrics.get("production") or {}).items() if isinstance(value, float)},
        })  # fmt: skip
    return found


def champion(where: Storage, project: str) -> dict[str, Any] | None:
    """The champion's record: version, since when, and the versions before it."""
    return storage.read_json(where, where.own(project, "champion"))


def champion_folder(where: Storage, project: str) -> Path:
    """The folder of the bundle that serves.

    Raises:
        GateError: where there is no champion, or the store has lost it.
    """
    record = champion(where, project)
    if record is None:
        raise GateError(
            f"project {project} has no champion in workspace {where.workspace}",
            f"run: skewless run {project}, or skewless promote {project}",
        )
    return _folder(where, project, record["version"])


def promote(where: Storage, project: str, version: str | None = None) -> Promotion:
    """Make a version the champion, once its files and its receipt have been verified: the one packaged last, if none is named.

    A version that was rolled back stays so until it is named.
    """
    packaged = storage.read_json(where, where.own(project, "bundle.json"))
    if version is None and packaged is None:
        raise GateError(f"project {project} has no packaged version in workspace {where.workspace}", f"run: skewless package {project}")
    chosen = version.removeprefix(f"{project}:") if version else packaged["id"]
    bundle.verify(_folder(where, project, chosen))
    record = champion(where, project) or {"version": None, "history": [], "withdrawn": []}
    previous, withdrawn = record["version"], record["withdrawn"]
    if version is None and chosen in withdrawn:
        return Promotion(previous, None, unchanged=True, withheld=chosen)
    if chosen == previous:
        return Promotion(chosen, None, unchanged=True)
    _crown(where, project, chosen, [*record["history"], previous] if previous else [], [name for name in withdrawn if name != chosen])
    return Promotion(chosen, previous, unchanged=False)


def rollback(where: Storage, project: str) -> Promotion:
    """Put the champion before this one back."""
    record = champion(where, project)
    if record is None or not record["history"]:
        raise GateError(f"project {project} has no earlier champion to go back to", f"see: skewless models {project}")
    chosen = record["history"][-1]
    bundle.verify(_folder(where, project, chosen))
    _crown(where, project, chosen, record["history"][:-1], [*record["withdrawn"], record["version"]])
    return Promotion(chosen, record["version"], unchanged=False)


def _crown(where: Storage, project: str, version: str, history: list[str], withdrawn: list[str]) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"version": version, "promoted_at": now, "history": history, "withdrawn": withdrawn}
    storage.write_json(where, where.own(project, "champion"), record)


def _folder(where: Storage, project: str, version: str) -> Path:
    folder = storage.fetch(where, where.own("bentoml", "models", project, version))
    if not folder.is_dir():
        raise GateError(f"the model store has no version {version} of {project}", f"see: skewless models {project}")
    return folder


def _models(store: ModuleType, project: str) -> list[Any]:
    return [model for model in store.models.list() if model.tag.name == project]  # list(project) raises where there is none


def _store(where: Storage) -> ModuleType:
    """BentoML with the workspace's own store as its home, which it reads at import."""
    os.environ["BENTOML_HOME"] = str(storage.working_folder(where, where.own("bentoml")))
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    import bentoml
    import bentoml.models

    return bentoml
