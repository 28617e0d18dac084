"""What a stored result depends on: every module on a step's way, and no other; libraries; what the step names."""

import shutil
from pathlib import Path

import pytest

from ml import provenance
from ml.storage import open_storage
from ml.warehouse import dbt

STEPS = {
    "build": ("ml.warehouse.dbt",),
    "quality": ("ml.quality",),
    "snapshot": ("ml.snapshot",),
    "train": ("ml.train",),
    "evaluate": ("ml.evaluate",),
    "baselines": ("ml.evaluate.baselines",),
    "ablation": ("ml.evaluate.permutation",),
    "package": ("ml.bundle", "ml.predictor"),
    "receipt": ("ml.answers", "ml.bundle.receipt"),
    "gate": ("ml.gate",),
    "smoke test": ("ml.smoke_test", "serving.service"),
    "batch": ("ml.batch",),
    "drift": ("ml.drift",),
    "report": ("ml.report",),
    "profile": ("ml.profile",),
}
ON_THE_WAY = {
    "build": ("ml/warehouse/__init__.py", "ml/warehouse/dbt.py", "ml/warehouse/duckdb.py", "ml/contract/manifest.py", "ml/children.py"),
    "quality": ("ml/quality.py", "ml/warehouse/relations.py", "ml/contract/manifest.py", "ml/evaluate/__init__.py", "ml/metrics.py"),
    "snapshot": ("ml/snapshot.py", "ml/warehouse/dbt.py", "ml/warehouse/duckdb.py", "ml/contract/manifest.py"),
    "train": ("ml/train/__init__.py", "ml/train/calibration.py", "ml/encoding.py", "ml/dataset.py", "ml/network.py", "ml/hashing.py"),
    "evaluate": ("ml/metrics.py", "ml/evaluate/slices.py", "ml/predictor.py", "ml/encoding.py"),
    "baselines": ("ml/evaluate/baselines.py", "ml/encoding.py", "ml/dataset.py"),
    "ablation": ("ml/evaluate/permutation.py", "ml/metrics.py", "ml/predictor.py"),
    "package": ("ml/bundle/__init__.py", "ml/predictor.py", "ml/encoding.py"),
    "receipt": ("ml/answers.py", "ml/online/parse.py", "ml/online/bulk.py", "ml/predictor.py", "ml/encoding.py", "ml/network.py"),
    "gate": ("ml/gate.py", "ml/answers.py", "ml/online/parse.py", "ml/metrics.py", "ml/dataset.py"),
    "smoke test": ("ml/smoke_test.py", "serving/app.py", "serving/service.py", "ml/online/parse.py", "ml/registry.py"),
    "batch": ("ml/batch.py", "ml/ingest/text.py", "ml/answers.py"),
    "drift": ("ml/drift/finding.py", "ml/drift/series.py", "ml/metrics.py", "ml/predictor.py"),
    "report": ("ml/report/charts.py", "ml/report/page.py", "ml/ledger.py"),
    "profile": ("ml/profile/__init__.py", "ml/profile/moments.py", "ml/profile/suspicions.py", "ml/storage.py"),
}
ELSEWHERE = {
    "build": ("ml/quality.py", "ml/ingest/text.py", "ml/simulate/taxi.py", "ml/train/__init__.py", "serving/app.py", "ml/console.py"),
    "quality": ("ml/train/__init__.py", "ml/simulate/taxi.py", "ml/report/page.py", "serving/app.py", "ml/verbs/data.py"),
    "snapshot": ("ml/online/parse.py", "ml/train/__init__.py", "ml/contract/leakage.py", "serving/app.py"),
    "train": ("ml/online/parse.py", "ml/evaluate/baselines.py", "ml/snapshot.py", "serving/page.py", "ml/verbs/run.py", "ml/console.py"),
    "evaluate": ("ml/online/parse.py", "ml/train/__init__.py", "ml/drift/series.py", "ml/console.py"),
    "baselines": ("ml/train/__init__.py", "ml/online/parse.py", "ml/drift/series.py"),
    "ablation": ("ml/train/__init__.py", "ml/report/charts.py"),
    "package": ("ml/train/__init__.py", "serving/app.py", "ml/ingest/text.py"),
    "receipt": ("serving/page.py", "ml/train/__init__.py", "ml/ingest/text.py", "ml/places.py"),
    "gate": ("serving/app.py", "ml/train/__init__.py", "ml/drift/series.py"),
    "smoke test": ("ml/train/__init__.py", "ml/drift/series.py", "ml/report/page.py"),
    "batch": ("serving/app.py", "ml/drift/series.py"),
    "drift": ("serving/app.py", "ml/online/bulk.py", "ml/train/__init__.py"),
    "report": ("serving/app.py", "ml/train/__init__.py"),
    "profile": ("ml/online/parse.py", "ml/network.py", "serving/app.py"),
}


@pytest.fixture(scope="module")
def copied(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private copy of both packages."""
    folder = tmp_path_factory.mktemp("source")
    for name in provenance.PACKAGES:
        shutil.copytree(checkout / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def after_edit(source: Path, path: str, modules: tuple[str, ...], text: str) -> str:
    """The id of some code while a line is added at the end of one file."""
    file = source / path
    original = file.read_text()
    try:
        file.write_text(f"{original}\n{text}\n")
        return provenance.code(*modules, source=source).id
    finally:
        file.write_text(original)


@pytest.mark.parametrize(("step", "path"), [(step, path) for step, paths in ON_THE_WAY.items() for path in paths])
def test_an_edit_of_any_module_on_the_way_makes_a_step_run_again(copied: Path, step: str, path: str) -> None:
    before = provenance.code(*STEPS[step], source=copied).id
    assert after_edit(copied, path, STEPS[step], "EDITED = 1") != before
    assert provenance.code(*STEPS[step], source=copied).id == before


@pytest.mark.parametrize(("step", "path"), [(step, path) for step, paths in ELSEWHERE.items() for path in paths])
def test_an_edit_elsewhere_does_not(copied: Path, step: str, path: str) -> None:
    assert after_edit(copied, path, STEPS[step], "EDITED = 1") == provenance.code(*STEPS[step], source=copied).id


@pytest.mark.parametrize("step", STEPS)
def test_every_module_that_a_step_names_is_found_to_change_it(copied: Path, step: str) -> None:
    before = provenance.code(*STEPS[step], source=copied)
    for module in before.modules:
        base = copied.joinpath(*module.split("."))
        path = base.with_suffix(".py") if base.with_suffix(".py").exists() else base / "__init__.py"
        assert after_edit(copied, str(path.relative_to(copied)), STEPS[step], "EDITED = 1") != before.id, module


def tree(folder: Path, **files: str) -> Path:
    (folder / "ml").mkdir()
    for name, text in {"__init__": "", **files}.items():
        path = folder / "ml" / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_imports_are_followed_wherever_they_are_written(tmp_path: Path) -> None:
    source = tree(
        tmp_path,
        a="from ml import b\n",
        b="def late():\n    import ml.c\n",
        c="try:\n    from ml.d import x\nexcept ImportError:\n    pass\n",
        d="x = 1\n",
        e="",
    )
    assert set(provenance.code("ml.a", source=source).modules) == {"ml", "ml.a", "ml.b", "ml.c", "ml.d"}


def test_a_relative_import_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1 imports relatively"):
        provenance.code("ml.a", source=tree(tmp_path, a="from . import b\n", b=""))


def test_imports_of_types_alone_are_not_followed(tmp_path: Path) -> None:
    source = tree(tmp_path, a="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ml.b import B\n", b="B = int\n")
    assert set(provenance.code("ml.a", source=source).modules) == {"ml", "ml.a"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Another docstring."""\nx = 1\n', True),
        ("x = 1  # a reason\n", True),
        ("x = (\n    1\n)\n", True),
        ("x = 2\n", False),
        ('x = 1\n\n\ndef f():\n    """New."""\n', False),
    ],
)
def test_comments_docstrings_and_layout_are_no_content(tmp_path: Path, text: str, same: bool) -> None:
    source = tree(tmp_path, a='"""A docstring."""\nx = 1\n')
    before = provenance.code("ml.a", source=source).id
    (source / "ml" / "a.py").write_text(text)
    assert (provenance.code("ml.a", source=source).id == before) is same


def test_versions_of_the_libraries_that_are_imported_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tree(tmp_path, a="import numpy as np\nimport os\nimport rich\n")
    before = provenance.code("ml.a", source=source)
    assert set(before.versions) == {"python", "numpy"}
    monkeypatch.setattr(provenance.importlib.metadata, "version", lambda name: "0")
    after = provenance.code("ml.a", source=source)
    assert after.id != before.id and provenance.changed(before, after) == ["numpy"]


def test_inputs_count_by_name_and_value() -> None:
    keys = [provenance.key("ml.hashing", **inputs) for inputs in ({}, {"a": 1}, {"b": 1}, {"a": [1]}, {"a": 2})]
    assert len(set(keys)) == 5 and provenance.key("ml.hashing", a=1) == keys[1]


def test_a_module_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"ml\.nothing"):
        provenance.code("ml.nothing", source=tree(tmp_path))


def test_what_is_left_out_has_a_reason_and_exists(checkout: Path) -> None:
    for module, reason in provenance.GROUND.items():
        assert (checkout / f"{module.replace('.', '/')}.py").is_file() and len(reason.split()) > 5


def test_a_build_depends_on_root_target_files_loads_and_the_code_of_the_warehouse(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(root: str = "a", target: str = "duckdb", project: str = "taxi", loads: tuple[str, ...] = ("t/1",)) -> str:
        return dbt._fingerprint(dbt.Setup(open_storage(str(tmp_path / root), "w"), checkout, target, ("duckdb",)), project, list(loads))

    first = key()
    assert key() == first
    others = [key(root="b"), key(target="other"), key(project="flights"), key(loads=("t/1", "t/2"))]
    asked: list[tuple[str, ...]] = []

    def edited(*modules: str) -> provenance.Code:
        asked.append(modules)
        return provenance.Code({"ml.warehouse.dbt": "edited"}, {})

    monkeypatch.setattr(provenance, "code", edited)
    assert len({first, *others, key()}) == 6 and asked == [STEPS["build"]]
