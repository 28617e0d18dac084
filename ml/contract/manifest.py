"""A dbt manifest, read: its models, what they read, and their meta as dataclasses."""

from collections.abc import Iterable
from typing import Any

from ml.contract.meta import Availability, ColumnMeta, MlMeta, ModelMeta
from ml.contract.validation import Place, read_or_raise
from ml.errors import SkewlessError


def features_node(manifest: dict[str, Any], project: str) -> dict[str, Any]:
    """The model of a project that declares `meta.ml`."""
    found = [node for node in models(manifest) if node["original_file_path"].startswith(f"models/{project}/") and meta(node).get("ml")]
    if len(found) != 1:
        named = ", ".join(node["name"] for node in found) or "none"
        raise SkewlessError(
            f"one model of project {project} must declare its target with meta.ml; found {named}",
            f"give one model below models/{project} the block meta.ml, as docs/reference/meta.md describes it",
        )
    return found[0]


def checked_path(manifest: dict[str, Any], request: dict[str, Any]) -> list[dict[str, Any]]:
    """The models from the one that carries rules to the request relation, both included, by the shortest way; none without rules."""
    paths = [[request]]
    while paths:
        longer = [[parent, *path] for path in paths for parent in parents(manifest, path[0])]
        found = next((path for path in longer if any("rule" in meta(column) for column in path[0]["columns"].values())), None)
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
    return [manifest["nodes"][parent] for parent in node["depends_on"].get("nodes", []) if parent in manifest["nodes"]]


def meta(entry: dict[str, Any]) -> dict[str, Any]:
    """The meta of a node or of a column's entry as it is written, wherever dbt has put it."""
    return {**entry.get("meta", {}), **entry.get("config", {}).get("meta", {})}


def place(node: dict[str, Any], column: str = "") -> Place:
    """The YAML file and the entry of a model, seed or source's table, or of one of its columns."""
    file = (node.get("patch_path") or node.get("original_file_path") or "").split("://")[-1]
    table = f"{node['source_name']}.{node['name']}" if node["resource_type"] == "source" else node["name"]
    return Place(file, f"{table}.{column}" if column else table)


def ml_meta(node: dict[str, Any]) -> MlMeta:
    """What the entry of a feature table declares.

    Raises:
        SkewlessError: for a block that does not fit; the readers below raise it as well.
    """
    found = read_or_raise(ModelMeta, meta(node), place(node)).ml
    if found is None:
        raise SkewlessError(f"{place(node)} has no meta.ml", "declare its target there; see docs/reference/meta.md")
    return found


def column_meta(node: dict[str, Any], entry: dict[str, Any]) -> ColumnMeta:
    """What the entry of a column says of it."""
    return read_or_raise(ColumnMeta, meta(entry), place(node, entry["name"]))


def catches(node: dict[str, Any], entry: dict[str, Any]) -> tuple[str, ...]:
    """The simulator's defects that a rule, or a column that marks rows, is for."""
    about = column_meta(node, entry)
    return about.catches or (about.rule.catches if about.rule else ())


def is_staging(node: dict[str, Any]) -> bool:
    """Whether a model reads raw data: one of its parents is a source."""
    return node["resource_type"] == "model" and any(parent.startswith("source.") for parent in node["depends_on"].get("nodes", []))


def available(node: dict[str, Any], column: str) -> Availability:
    """When a column of a staging model is known. The one reader of `available`, because a map per model may follow.

    Raises:
        SkewlessError: for a column without an entry, or one that does not say.
    """
    entry = node["columns"].get(column)
    found = column_meta(node, entry).available if entry else None
    if found is None:
        lacks = "its entry has no meta.available" if entry else "it has no entry"
        raise SkewlessError(
            f"{place(node, column)}: nothing says when this column is known: {lacks}",
            "write config: {meta: {available: request}} if a request can carry it, available: outcome if it is known only afterwards",
        )
    return found


def ancestors(manifest: dict[str, Any], name: str) -> set[str]:
    """A node and all nodes that it descends from, by their unique ids; sources are none."""
    found, ahead = {name}, [name]
    while ahead:
        parents_of_it = manifest["nodes"][ahead.pop()]["depends_on"].get("nodes", [])  # a seed has none
        new = {parent for parent in parents_of_it if parent in manifest["nodes"]} - found
        found |= new
        ahead += new
    return found
