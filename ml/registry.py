"""Versions in BentoML's model store, the champion, and the way back."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from ml import bundle, records, storage
from ml.bundle import receipt
from ml.errors import GateError
from ml.places import Places, identity
from ml.results import Comparison
from ml.storage import Storage

Judge = Callable[[Path, Path], Comparison]


@dataclass(frozen=True)
class Promotion:
    """What promote or rollback did. `withheld`: a version that was rolled back, and that only its name promotes again.

    `comparison`: what the gate found between the two, `forced`: promoted although it said no.
    """

    version: str
    previous: str | None
    unchanged: bool
    withheld: str | None = None
    forced: bool = False
    comparison: Comparison | None = None


def add(where: Storage, project: str, folder: Path) -> str:
    """Copy a verified bundle into the model store; its tag, `project:id`. A version that is there is kept."""
    about = bundle.verify(folder)
    store = _store(where)
    tag = f"{project}:{about.id}"
    if tag not in {str(model.tag) for model in _models(store, project)}:
        with store.models.create(tag, labels={"project": project, "snapshot": about.snapshot, "run": about.run}) as model:
            shutil.copytree(folder, model.path, dirs_exist_ok=True)
    return tag


def versions(where: Storage, project: str) -> list[dict[str, Any]]:
    """Every version of a project, newest first, with its metrics and whether it is champion."""
    current = champion(where, project)
    found = []
    for model in sorted(_models(_store(where), project), key=lambda model: model.info.creation_time, reverse=True):
        metrics = storage.read_json(where, f"{Places(where, project).version(model.tag.version or '')}/metrics.json") or {}
        found.append({
            "version": model.tag.version,
            "created_at": model.info.creation_time.isoformat(timespec="seconds"),
            "snapshot": model.info.labels.get("snapshot"),
            "champion": current is not None and current["version"] == model.tag.version,
            "came": (current or {}).get("came", {}).get(model.tag.version),
            "test": {name: value for name, value in (metrics.get("test") or {}).items() if isinstance(value, float)},
            "out_of_time": {name: value for name, value in (metrics.get("out_of_time") or {}).items() if isinstance(value, float)},
        })  # fmt: skip
    return found


def champion(where: Storage, project: str) -> dict[str, Any] | None:
    """The champion's record: version, since when, the versions before it, and how each came to be champion."""
    record: dict[str, Any] | None = storage.read_json(where, Places(where, project).champion())
    return record


def champion_stamp(where: Storage, project: str) -> tuple[int, ...] | None:
    """A mark that is another one whenever the champion's record has been written; None where there is none. Costs a stat."""
    return storage.stamp(where, Places(where, project).champion())


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
    return version_folder(where, project, record["version"])


def promote(
    where: Storage, project: str, version: str | None = None, judge: Judge | None = None, force: bool = False, keep_rollback: bool = False
) -> Promotion:
    """Make a version the champion, once its files and its receipt have been verified: the one packaged last, if none is named.

    The project's own gates, which `evaluate` has judged, must hold. `judge` is given the folders of challenger and champion,
    and compares them. The first champion is compared with none.
    A version that was rolled back stays so until it is named, or longer with `keep_rollback`.

    Raises:
        GateError: when a gate of the project or the comparison says no, or none is possible, and nothing is forced.
    """
    places = Places(where, project)
    chosen = version.removeprefix(f"{project}:") if version else identity(places, "bundle")
    receipt.require(places, bundle.verify(version_folder(where, project, chosen)).id)
    record = champion(where, project) or {"version": None, "history": [], "withdrawn": []}
    previous, withdrawn = record["version"], record["withdrawn"]
    if (version is None or keep_rollback) and chosen in withdrawn:
        return Promotion(previous, None, unchanged=True, withheld=chosen)
    if chosen == previous:
        return Promotion(chosen, None, unchanged=True)
    missed = _missed(where, project, chosen, force)
    comparison = _judged(where, project, chosen, previous, judge, force) if previous and judge else None
    forced = bool(missed) or (comparison is not None and not comparison.ok)
    if previous != (champion(where, project) or {"version": None})["version"]:
        raise GateError(f"another champion of {project} came in between", f"again: skewless promote {project}")
    came = f"{'forced' if forced else 'promoted'}, {comparison.short}" if comparison else "promoted" if previous else "the first"
    came += f"; forced past {', '.join(missed)}" if missed else ""
    after = {
        "history": [*record["history"], previous] if previous else [],
        "withdrawn": [name for name in withdrawn if name != chosen],
        "forced": forced,
        "comparison": records.to_json(comparison) if comparison else None,
        "came": {**record.get("came", {}), chosen: came},
    }
    _crown(where, project, chosen, after)
    return Promotion(chosen, previous, unchanged=False, forced=forced, comparison=comparison)


def rollback(where: Storage, project: str) -> Promotion:
    """Put the champion before this one back, without asking the gate."""
    record = champion(where, project)
    if record is None or not record["history"]:
        raise GateError(f"project {project} has no earlier champion to go back to", f"see: skewless models {project}")
    chosen = record["history"][-1]
    receipt.require(Places(where, project), bundle.verify(version_folder(where, project, chosen)).id)
    after = {
        "history": record["history"][:-1],
        "withdrawn": [*record["withdrawn"], record["version"]],
        "forced": False,
        "comparison": None,
        "came": {**record.get("came", {}), chosen: f"rolled back from {record['version']}"},
    }
    _crown(where, project, chosen, after)
    return Promotion(chosen, record["version"], unchanged=False)


def _missed(where: Storage, project: str, chosen: str, force: bool) -> list[str]:
    """The names of the project's gates that do not hold for a version; none, unless it is forced."""
    metrics = storage.read_local_json(version_folder(where, project, chosen) / "metrics.json")
    missed = [gate for gate in metrics.get("gates", []) if not gate["ok"]]
    if missed and not force:
        raise GateError(
            f"{project}:{chosen} does not pass the project's gates: " + "; ".join(f"{gate['name']}, {gate['says']}" for gate in missed),
            f"better features or another network; skewless promote {project} --bundle {chosen} --force promotes it and is recorded",
        )
    return [gate["name"] for gate in missed]


def _judged(where: Storage, project: str, chosen: str, previous: str, judge: Judge, force: bool) -> Comparison:
    """The comparison, unless it says no; forced, also one that says no or that could not be made."""
    try:
        comparison = judge(version_folder(where, project, chosen), storage.fetch(where, Places(where, project).version(previous)))
    except GateError as error:
        if not force:
            raise
        return Comparison(chosen, previous, False, str(error), "no comparison", str(error))
    if not comparison.ok and not force:
        raise GateError(
            f"{project}:{chosen} is worse than the champion {previous} {comparison.why}: {comparison.says}",
            f"{previous} stays; skewless promote {project} --bundle {chosen} --force promotes it all the same and is recorded",
        )
    return comparison


def _crown(where: Storage, project: str, version: str, record: dict[str, Any]) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    storage.write_json(where, Places(where, project).champion(), {"version": version, "promoted_at": now, **record})


def version_folder(where: Storage, project: str, version: str) -> Path:
    """The folder of a version in the model store.

    Raises:
        GateError: where the store has none.
    """
    folder = storage.fetch(where, Places(where, project).version(version))
    if not storage.is_name(version) or not folder.is_dir():
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
