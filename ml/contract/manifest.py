"""A dbt manifest, read: its models, what they read, and the meta beside their columns."""

from collections.abc import Iterable
from typing import Any

from ml.errors import SkewlessError


def features_node(manifest: dict[str, Any], project: str) -> dict[str, Any]:
    """The model of a project that declares `meta.ml`."""
    found = [node for node in models(manifest) if node["original_file_path"].startswith(f"models/{project}/") and meta(node).get("ml")]
    if len(found) != 1:
        named = ", ".join(node["name"] for node in found) or "none"
        raise SkewlessError(
            f"one model of project {project} must declare its target with meta.ml; found {named}",
            f"see models/flights/marts/flights_features.yml, and give models/{project} one such entry",
        )
    return found[0]


def checked_path(manifest: dict[str, Any], request: dict[str, Any]) -> list[dict[str, Any]]:
    """The models from the one that carries rules to the request relation, both included, by the shortest way; none without rules."""
    paths = [[request]]
    while paths:
        longer = [[parent, *path] for path in paths for parent in parents(manifest, path[0])]
        found = next((path for path in longer if any(rule_meta(column) for column in path[0]["columns"].values())), None)
        if found is not None:
            return found
        paths = longer
    return []


def checked_node(manifest: dict[str, Any], request: dict[str, Any]) -> dict[str, Any] | None:
    """The nearest ancestor of the request relation that carries rules, if any."""
    return next(iter(checked_path(manifest, request)), None)


def models(manifest: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (node for node in manifest["nodes"].values() if node["resource_type"] == "model")


def model_named(manifest: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((node for node in models(manifest) if node["name"] == name), None)


def parents(manifest: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """The models and seeds that a node reads directly."""
    return [manifest["nodes"][parent] for parent in node["depends_on"]["nodes"] if parent in manifest["nodes"]]


def meta(entry: dict[str, Any]) -> dict[str, Any]:
    """The meta of a node or of a column's entry, wherever dbt has put it."""
    return {**entry.get("meta", {}), **entry.get("config", {}).get("meta", {})}


def rule_meta(entry: dict[str, Any]) -> dict[str, Any]:
    """What a column's entry says of a rule; nothing for other columns."""
    return meta(entry).get("rule") or {}


def catches(entry: dict[str, Any]) -> list[str]:
    """The simulator's defects that a rule, or a column that marks rows, is for."""
    about = meta(entry)
    return list(about.get("catches") or (about.get("rule") or {}).get("catches") or [])


def ancestors(manifest: dict[str, Any], name: str) -> set[str]:
    """A node and all nodes that it descends from, by their unique ids; sources are none."""
    found, ahead = {name}, [name]
    while ahead:
        parents_of_it = manifest["nodes"][ahead.pop()]["depends_on"]["nodes"]
        new = {parent for parent in parents_of_it if parent in manifest["nodes"]} - found
        found |= new
        ahead += new
    return found
