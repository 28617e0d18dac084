"""The toy project in a temporary checkout, driven through the real command line."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import properties
import pytest
import tiers
from hypothesis import is_hypothesis_test

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(HERE / "toy"))
import data as toy_data  # noqa: E402

CURRENT: dict[str, pytest.Item] = {}  # the test that runs, under "item"
properties.register()  # before test modules are imported: their settings start from the loaded profile


def pytest_configure() -> None:
    tiers.guard(CURRENT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = tiers.in_order(items)
    for item in items:
        if item.path.stem in tiers.DEEP_FILES:
            item.add_marker("deep")
        for name in tiers.markers(getattr(item, "fixturenames", ())):
            item.add_marker(name)
        if is_hypothesis_test(getattr(item, "function", None)):
            item.add_marker("property")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    CURRENT["item"] = item
    try:
        return (yield)
    finally:
        del CURRENT["item"]


@dataclass(frozen=True)
class Checkout:
    """A checkout with its own storage root, and the command line in it."""

    folder: Path
    project: str

    @property
    def root(self) -> Path:
        return self.folder / ".skewless"

    @property
    def own(self) -> Path:
        return self.root / "workspaces" / "default" / self.project

    def environment(self, **extra: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SKEWLESS_", "BENTOML_", "DBT_"))}
        return {**inherited, "PYTHONPATH": str(self.folder), "SKEWLESS_ROOT": str(self.root), **extra}

    def skewless(self, *arguments: str, code: int = 0, **extra: str) -> str:
        """Run a verb, require its exit code, and return what it printed on both streams."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment(**extra), capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, f"exit {done.returncode}, not {code}: {arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a verb prints with --json."""
        done = subprocess.run(
            self.command(*arguments, "--json"), cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, f"exit {done.returncode}, not {code}: {arguments}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ml.cli", *arguments]

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file, which must hold it."""
        text = (self.folder / path).read_text()
        assert old in text, f"{path} does not hold {old!r}"
        (self.folder / path).write_text(text.replace(old, new))


def make_toy(folder: Path) -> Checkout:
    """A checkout whose only project is the toy; nothing of the real one's data."""
    for name in ("macros", "seeds", "ml", "serving", "tests/sql"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "toy" / "models", folder / "models")
    for name in ("profiles.yml", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder / name)
    project = (CHECKOUT / "dbt_project.yml").read_text().replace('flights: "2013-10-01"', 'toy: "2024-04-10"')
    head, _, _ = project.partition("    flights:\n      staging:")
    (folder / "dbt_project.yml").write_text(head)
    toy_data.write(folder / "models" / "toy")
    return Checkout(folder, "toy")


def linked(folder: Path, project: str) -> Checkout:
    """The real checkout in a folder with a storage root of its own."""
    for name in ("models", "macros", "seeds", "ml", "serving", "tests", "dbt_project.yml", "profiles.yml", "pyproject.toml"):
        os.symlink(CHECKOUT / name, folder / name)
    return Checkout(folder, project)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout that is tested."""
    return CHECKOUT


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A fresh toy checkout for each test module."""
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def lived_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy after its whole life, lived once for all workers of the test run."""
    shared = tmp_path_factory.getbasetemp().parent if os.environ.get("PYTEST_XDIST_WORKER") else tmp_path_factory.getbasetemp()
    folder = shared / "lived"
    with open(shared / "lived.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "run.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            done = make_toy(folder).json("run", "toy", "--no-page")
            (folder / "run.json").write_text(json.dumps(done))
    return folder


@pytest.fixture(scope="module")
def lived(lived_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of that toy for each test module, free to be edited."""
    folder = tmp_path_factory.mktemp("lived") / "checkout"
    shutil.copytree(lived_once, folder)
    return Checkout(folder, "toy")
