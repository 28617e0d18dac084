"""The layout: modules that import only what they may, models with an entry each, macros that name every engine."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import layout
import pytest
import setuptools
import yaml


def python_files(checkout: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((checkout / folder).rglob("*.py"))]


def imported_from_ml(path: Path) -> set[str]:
    """The modules of ml that a file imports, wherever in the file; imports for annotations alone do not count."""
    found = set()
    tree = ast.parse(path.read_text())
    typing_only = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")]
    skipped = {inner for node in typing_only for statement in node.body for inner in ast.walk(statement)}
    for node in set(ast.walk(tree)) - skipped:
        if isinstance(node, ast.ImportFrom) and node.module == "ml":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ml."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ml.")}
    return found


def in_ml(checkout: Path) -> dict[str, Path]:
    """The modules and packages directly in ml, by name."""
    return {path.stem: path for path in (checkout / "ml").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def files_of(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def test_every_module_is_in_the_plan(checkout: Path) -> None:
    found = set(in_ml(checkout)) - {"__init__"}
    assert found == set(layout.MODULES), "tests/python/layout.py lists the modules of ml"


def test_imports_point_down_only(checkout: Path) -> None:
    for name, path in in_ml(checkout).items():
        for file in files_of(path) if name != "__init__" else ():
            if str(file.relative_to(checkout)) in layout.GENERATORS:
                continue
            upward = imported_from_ml(file) - {name} - layout.above(name)
            assert not upward, (
                f"{file.relative_to(checkout)}, on floor {layout.FLOOR_OF[name]}, imports {upward}, listed below it in layout.py"
            )


def test_an_import_upward_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "storage.py").write_text(
        "def late():\n    from ml.registry import champion\n    import ml.verbs.run\n    from ml import drift\n"
    )
    assert imported_from_ml(tmp_path / "storage.py") - layout.above("storage") == {"registry", "verbs", "drift"}


def test_the_plan_is_printed_from_the_top_down(checkout: Path) -> None:
    command = [sys.executable, "tests/python/layout.py"]
    printed = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    assert [line.split()[1] for line in printed] == list(reversed(layout.MODULES))
    assert printed[-1].startswith("    0  errors ")


@pytest.mark.parametrize("name", layout.MODULES)
def test_a_module_loads_nothing_that_it_may_not(checkout: Path, name: str) -> None:
    """Importing a module with everything in its folder; what is heavy is imported where it is used."""
    files = [file.relative_to(checkout).with_suffix("") for file in files_of(in_ml(checkout)[name])]
    names = [".".join(file.parts).removesuffix(".__init__") for file in files]
    script = "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]; print(*{n.split('.')[0] for n in sys.modules})"
    command = [sys.executable, "-c", script, *names]
    loaded = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.split()
    assert not {*layout.NEVER, *layout.MODULES[name].never} & set(loaded)


def test_an_installation_holds_every_package(checkout: Path) -> None:
    where = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert where["namespaces"] is False, "else a folder without __init__.py, such as __pycache__, is a package too"
    found = setuptools.find_packages(str(checkout), include=where["include"])
    folders = {file.parent.relative_to(checkout) for file in python_files(checkout, "ml", "serving")}
    assert set(found) == {".".join(folder.parts) for folder in folders}, "a folder of Python files has no __init__.py"


def test_the_network_knows_nothing_of_ml_but_the_contract(checkout: Path) -> None:
    assert imported_from_ml(checkout / "ml" / "network.py") == {"contract"}


def test_the_service_imports_only_what_a_request_needs(checkout: Path) -> None:
    modules = set().union(*(imported_from_ml(path) for path in python_files(checkout, "serving")))
    assert modules <= layout.SERVING


def test_only_the_command_line_prints(checkout: Path) -> None:
    printing = [
        path.name
        for path in python_files(checkout, "ml", "serving")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert set(printing) <= {"cli.py"}


def test_no_module_but_storage_opens_the_root(checkout: Path) -> None:
    offenders = [
        path.name
        for path in python_files(checkout, "ml", "serving")
        if path.name != "storage.py" and re.search(r"Path\([^)]*\.root", path.read_text())
    ]
    assert not offenders


def test_modules_and_models_stay_small(checkout: Path) -> None:
    long = {path.name: len(path.read_text().splitlines()) for path in python_files(checkout, "ml", "serving", "tests/python")}
    long |= {
        path.name: len(path.read_text().splitlines())
        for folder in ("models", "macros", "tests/sql")
        for path in (checkout / folder).rglob("*.sql")
    }
    assert not {name: count for name, count in long.items() if count > (120 if name.endswith(".sql") else 330)}


def test_each_model_has_its_entry_next_to_it_with_a_description_that_says_something(checkout: Path) -> None:
    for path in sorted((checkout / "models").rglob("*.sql")):
        (entry,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
        assert entry["name"] == path.stem
        for described in (entry, *entry["columns"]):
            words = set(re.findall(r"[a-z]+", described.get("description", "").lower()))
            assert words - set(described["name"].split("_")), f"{path.stem}: {described['name']}"


def test_only_staging_reads_sources(checkout: Path) -> None:
    reading = [path.name for path in (checkout / "models").rglob("*.sql") if "source(" in path.read_text()]
    assert reading and all(name.startswith("stg_") for name in reading)


def test_every_engine_difference_is_written_for_both_and_refused_for_others(checkout: Path) -> None:
    for path in sorted((checkout / "macros").rglob("*.sql")):
        text = path.read_text()
        assert f"macro {path.stem}(" in text
        if "adapter.dispatch" in text:
            assert {f"{engine}__{path.stem}" for engine in ("default", "duckdb", "athena")} <= set(re.findall(r"macro (\w+)\(", text))
            assert "raise_compiler_error" in text
    assert not [path for path in (checkout / "models").rglob("*.sql") if "target." in path.read_text()]


def test_nothing_pickled_is_loaded(checkout: Path) -> None:
    forbidden = re.compile(r"\bpickle\b|torch\.load\(|joblib|allow_pickle=True")
    assert not [path.name for path in python_files(checkout, "ml", "serving") if forbidden.search(path.read_text())]


def test_what_is_in_marts_is_public_so_its_shape_is_a_contract_and_its_key_is_tested(checkout: Path) -> None:
    for path in sorted((checkout / "models").rglob("marts/*.sql")):
        (entry,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
        assert entry["config"]["contract"]["enforced"] is True, path.stem
        assert all("data_type" in column for column in entry["columns"]), path.stem
        tests = [test for described in (entry, *entry["columns"]) for test in described.get("data_tests", [])]
        assert any(test == "unique" or "unique" in test or "unique_over" in test for test in tests), f"{path.stem} has no tested key"


def test_every_staging_column_says_when_it_is_known(checkout: Path) -> None:
    for path in sorted((checkout / "models").rglob("staging/stg_*.yml")):
        (entry,) = yaml.safe_load(path.read_text())["models"]
        for column in entry["columns"]:
            assert column["config"]["meta"]["available"] in ("request", "outcome"), f"{path.stem}.{column['name']}"


def test_every_feature_has_a_kind_a_family_and_a_range_or_values(checkout: Path) -> None:
    for path in sorted((checkout / "models").rglob("*_features.yml")):
        (entry,) = yaml.safe_load(path.read_text())["models"]
        for column in entry["columns"]:
            meta = column["config"]["meta"]
            if meta["role"] == "feature":
                assert meta["kind"] in ("numerical", "categorical") and meta["family"], column["name"]
                declared = meta.get("range") or meta.get("is_present")  # judged by keeps_declared_ranges
                assert column.get("data_tests") or declared, column["name"]


def test_a_file_of_sql_is_one_model_one_macro_or_one_test_of_its_own_name(checkout: Path) -> None:
    for path in sorted((checkout / "tests/sql").rglob("*.sql")):
        text = path.read_text()
        if "generic" in path.parts:
            assert re.findall(r"{%-? test (\w+)\(", text) == [path.stem]
        else:
            assert len(path.stem.split("_")) > 2, f"{path.stem} is no promise"


def test_layers_are_written_in_one_file(checkout: Path) -> None:
    """A data scientist who replaces the network looks in one place."""
    writing = set()
    for path in python_files(checkout, "ml", "serving"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any("Module" in ast.unparse(base) for base in node.bases):
                writing.add(path.name)
            if isinstance(node, ast.Attribute) and re.fullmatch(
                r"nn\.(Linear|Embedding|Sequential|Dropout|Conv\w+|\w+Norm)", ast.unparse(node)
            ):
                writing.add(path.name)
    assert writing == {"network.py"}
