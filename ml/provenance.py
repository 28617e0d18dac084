"""What a stored result depends on: the code that makes it, followed through imports, and the inputs that the step names.

A step is skipped only when its stored result carries the key that the step would have now. The key is a hash of

- the content of every module of `ml` and `serving` that the step's own modules import, directly or not: the syntax tree
  without docstrings, so that a comment or a reformatted line changes nothing;
- the versions of Python and of the libraries that these modules import;
- what the step passes in: ids of its data, settings, files.
"""

import ast
import functools
import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.hashing import hash_json

SOURCE = Path(__file__).parents[1]  # the folder that holds the packages
PACKAGES = ("ml", "serving")

# Modules whose change cannot change a value. Each needs a reason; when unsure, do not list a module.
GROUND = {
    "ml.console": "writes to the terminal; nothing that it returns is stored",
    "ml.errors": "the text and the exit code of failures; a failed step stores nothing",
    "ml.places": "names of files; a result that is looked for under another name is not found, and made again",
    "ml.provenance": "decides what is made again, never what is made",
}
# Libraries that draw, transport or describe, and decide no stored value.
QUIET_LIBRARIES = {
    "rich": "writes to the terminal",
    "prometheus_client": "counts requests",
}
# Where the name that is imported is not the name that is installed, or another library decides the values too.
DISTRIBUTIONS = {"sklearn": ("scikit-learn", "scipy"), "yaml": ("PyYAML",)}


@dataclass(frozen=True)
class Code:
    """Content hashes by module, and versions by distribution (and `python`), of some modules with all that they import."""

    modules: dict[str, str]
    versions: dict[str, str]

    @property
    def id(self) -> str:
        """12 hexadecimal digits."""
        return hash_json([self.modules, self.versions])[:12]


def key(*modules: str, **inputs: object) -> str:
    """12 hexadecimal digits of all that a result depends on: modules by name, and `inputs` as JSON values."""
    return hash_json([code(*modules).id, inputs])[:12]


def code(*modules: str, source: Path = SOURCE) -> Code:
    """The code of some modules, with everything that they import in `ml` and `serving`.

    Raises:
        ModuleNotFoundError: for a module that is in neither.
    """
    found: dict[str, str] = {}
    libraries: set[str] = set()
    waiting = [name for module in modules for name in _with_parents(module)]
    while waiting:
        name = waiting.pop()
        if name in found or name in GROUND:
            continue
        path = _path(source, name)
        if path is None:
            raise ModuleNotFoundError(f"there is no module {name} in {source}", name=name)
        content, imported = _read(path, path.stat().st_mtime_ns)
        found[name] = content
        for candidate in imported:
            if candidate.split(".")[0] not in PACKAGES:
                libraries.add(candidate.split(".")[0])
            elif _path(source, candidate) is not None:  # `from ml.a import b`: b is a module or a name in one
                waiting.append(candidate)
    return Code(dict(sorted(found.items())), _versions(libraries))


def changed(before: Code, after: Code) -> list[str]:
    """The modules and libraries that two pieces of code do not share, for a message."""
    parts = ((before.modules, after.modules), (before.versions, after.versions))
    return sorted({name for old, new in parts for name in old.keys() | new.keys() if old.get(name) != new.get(name)})


def _path(source: Path, module: str) -> Path | None:
    base = source.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@functools.cache
def _read(path: Path, changed_at: int) -> tuple[str, tuple[str, ...]]:
    """The content hash of a file, and the names that it imports. `changed_at` makes an edited file another argument."""
    tree = ast.parse(path.read_text())
    imported = tuple(dict.fromkeys(_imports(tree)))
    return hash_json(ast.dump(_without_docstrings(tree)))[:16], imported


def _imports(tree: ast.AST) -> Iterator[str]:
    """Every module that code names in an import, at any place, with the packages above it; not those of types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"line {node.lineno} imports relatively, which is not followed: write the whole name of the module")
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _with_parents(node.module)
            if node.module.split(".")[0] in PACKAGES:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _versions(libraries: set[str]) -> dict[str, str]:
    counted = sorted(libraries - sys.stdlib_module_names - QUIET_LIBRARIES.keys())
    names = [name for library in counted for name in DISTRIBUTIONS.get(library, (library,))]
    return {"python": f"{sys.version_info.major}.{sys.version_info.minor}", **{name: importlib.metadata.version(name) for name in names}}
