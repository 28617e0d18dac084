"""Every block of meta in a project, checked: from its YAML files before dbt reads them, and from dbt's manifest."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ml.contract import manifest as manifests
from ml.contract.meta import ColumnMeta, ModelMeta, NoMeta, SourceColumnMeta, SourceMeta
from ml.contract.validation import Place, Problem, read, require_none
from ml.errors import SkewlessError

Written = tuple[type, Any, Place]  # a block's dataclass, the block as written, and where
BLOCKS: dict[str, tuple[type, type]] = {
    "model": (ModelMeta, ColumnMeta),
    "seed": (NoMeta, ColumnMeta),
    "source": (SourceMeta, SourceColumnMeta),
}
RANGE_TEST = "keeps_declared_ranges"


def require_valid(manifest: dict[str, Any], project: str) -> None:
    """Every block of meta of the project's models, seeds and sources fits its dataclass, and takes effect.

    Raises:
        SkewlessError: with every problem, naming file, entry, key and the nearest match.
    """
    nodes = [node for node in manifest["nodes"].values() if _is_own(node, project)]
    tables = [table for table in manifest.get("sources", {}).values() if _is_own(table, project)]
    problems = _problems(written for node in (*nodes, *tables) for written in _of_node(node))
    require_none(problems)
    judged = _judged(manifest)
    for node in nodes:
        for entry in node["columns"].values():
            about = manifests.column_meta(node, entry)
            where = manifests.place(node, entry["name"])
            if about.available and not manifests.is_staging(node):
                problems.append(Problem(where, "meta.available is read only in models that read a source", "remove it"))
            if (about.range or about.is_present) and node["name"] not in judged:
                do = f"add {RANGE_TEST} to the data_tests of {node['name']}"
                problems.append(Problem(where, f"meta declares a range, and no data test {RANGE_TEST} enforces it", do))
            if about.rule and not entry["name"].startswith("ok_"):
                problems.append(Problem(where, "meta.rule is on a column that is not named ok_<name>", f"name it ok_{entry['name']}"))
    require_none(problems)


def require_valid_files(checkout: Path, project: str) -> None:
    """The same of the YAML files, so that a wrong key is found before dbt makes SQL of it. Jinja in them is left to `require_valid`.

    Raises:
        SkewlessError: as above, or for a file that is not YAML.
    """
    paths = [path for folder in (f"models/{project}", f"seeds/{project}") for path in (checkout / folder).rglob("*.y*ml")]
    paths += (checkout / "seeds").glob("*.y*ml")
    files = [(yaml_of(path, checkout), path.relative_to(checkout).as_posix()) for path in sorted(paths)]
    require_none(_problems(written for content, file in files for written in _of_file(content, file)))


def yaml_of(path: Path, checkout: Path) -> dict[str, Any]:
    """The content of a YAML file.

    Raises:
        SkewlessError: for text that is not YAML, naming the line.
    """
    try:
        return yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise SkewlessError(f"{path.relative_to(checkout)} is not YAML: {said}", "correct the line that it names") from error


def _problems(written: Iterable[Written]) -> list[Problem]:
    problems: list[Problem] = []
    for block, raw, place in written:
        read(block, raw, place, problems)
    return list(dict.fromkeys(problems))  # a table repeats what its source says


def _is_own(node: dict[str, Any], project: str) -> bool:
    path = node["original_file_path"]
    shared = node["resource_type"] == "seed" and path.count("/") == 1
    return node["resource_type"] in BLOCKS and (shared or path.startswith((f"models/{project}/", f"seeds/{project}/")))


def _of_node(node: dict[str, Any]) -> Iterator[Written]:
    block, columns = BLOCKS[node["resource_type"]]
    if node.get("source_meta"):
        yield block, node["source_meta"], Place(manifests.place(node).file, node["source_name"])
    yield block, manifests.meta(node), manifests.place(node)
    for entry in node["columns"].values():
        yield columns, manifests.meta(entry), manifests.place(node, entry["name"])


def _of_file(content: dict[str, Any], file: str) -> Iterator[Written]:
    for kind in ("model", "seed"):
        for entry in content.get(f"{kind}s") or []:
            yield from _of_entry(kind, entry, file, "")
    for source in content.get("sources") or []:
        yield SourceMeta, manifests.meta(source), Place(file, source["name"])
        for table in source.get("tables") or []:
            yield from _of_entry("source", table, file, f"{source['name']}.")


def _of_entry(kind: str, entry: dict[str, Any], file: str, prefix: str) -> Iterator[Written]:
    block, columns = BLOCKS[kind]
    name = f"{prefix}{entry['name']}"
    yield block, manifests.meta(entry), Place(file, name)
    for column in entry.get("columns") or []:
        yield columns, manifests.meta(column), Place(file, f"{name}.{column['name']}")


def _judged(manifest: dict[str, Any]) -> set[str]:
    """The models and seeds whose declared ranges a data test enforces, on themselves or on their sums."""
    found = set()
    for node in manifest["nodes"].values():
        about = node.get("test_metadata") or {}
        if about.get("name") == RANGE_TEST:
            attached = manifest["nodes"].get(node.get("attached_node") or "", {})
            found.add(about["kwargs"].get("features") or attached.get("name", ""))
    return found
