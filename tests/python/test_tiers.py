"""The tiers: what a test is marked by, and that a fast test which starts dbt, a verb or a server fails."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import properties
import pytest
import tiers
from hypothesis import given
from hypothesis import strategies as st

TIERED = """
import subprocess, sys
import pytest

VERB = [sys.executable, "-m", "ml.cli", "--help"]

@pytest.fixture(scope="module")
def toy():
    return subprocess.run(VERB, capture_output=True)

def test_calm(): subprocess.run([sys.executable, "-c", "pass"], check=True)
def test_verb(): subprocess.run(VERB)
def test_dbt(): subprocess.Popen("dbt --version", shell=True)
@pytest.mark.parametrize("how", [1, 2])
def test_by_fixture(toy, how): subprocess.run(VERB, capture_output=True)
@pytest.mark.server
def test_by_hand(): subprocess.run(VERB, capture_output=True)
"""


@pytest.fixture
def outcome(tmp_path: Path) -> str:
    """What pytest prints about a module of tests of both kinds, with this folder's conftest."""
    for name in ("conftest", "tiers", "properties"):
        (tmp_path / f"{name}.py").write_text((Path(__file__).parent / f"{name}.py").read_text())
    (tmp_path / "toy").symlink_to(Path(__file__).parent / "toy")
    (tmp_path / "test_tiered.py").write_text(TIERED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = dbt\n    server\n    property\n")
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:xdist", "-p", "no:cacheprovider", str(tmp_path)]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout


def test_a_fast_test_that_starts_dbt_or_a_verb_fails_and_says_what_to_do(outcome: str) -> None:
    assert {line.split("::")[1].split(" ")[0] for line in outcome.splitlines() if line.startswith("FAILED")} == {"test_verb", "test_dbt"}
    assert "test_verb is in the fast tier and starts ml.cli; mark it @pytest.mark.dbt or server" in outcome
    assert "2 failed, 4 passed" in outcome


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["/x/.venv/bin/dbt", "build"], "/x/.venv/bin/dbt"),
        (["/x/python", "/x/bin/skewless", "run"], "/x/bin/skewless"),
        ([sys.executable, "-m", "ml.cli", "run"], "ml.cli"),
        (["python", "-m", "bentoml", "serve"], "bentoml"),
        (["/bin/sh", "-c", "exec dbt build"], "dbt"),
        ([b"bentoml", b"serve"], b"bentoml".decode()),
        ("dbt build", "dbt"),
        (["python", "-c", "print('dbt')"], None),
        (["cat", "models/dbt.yml", "a", "dbt"], None),
        (["git", "status"], None),
    ],
)
def test_a_command_is_slow_by_its_program_or_module(command: object, found: str | None) -> None:
    assert tiers.slow_command(command) == found


@pytest.mark.parametrize(
    ("fixtures", "expected"),
    [([], set()), (["tmp_path"], set()), (["lived_once", "lived"], {"dbt"}), (["lived", "client"], {"dbt", "server"})],
)
def test_markers_come_from_fixtures(fixtures: list[str], expected: set[str]) -> None:
    assert tiers.markers(fixtures) == expected


@given(st.integers())
def test_a_property_is_marked_as_one(request: pytest.FixtureRequest, number: int) -> None:
    assert request.node.get_closest_marker("property")


def test_a_plain_test_is_not_marked_as_a_property(request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("property")


def test_make_test_draws_the_same_examples_each_time_and_a_search_as_many_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(properties.SEARCH, raising=False)
    assert (properties.searched(), properties.examples(40)) == (None, 40)
    monkeypatch.setenv(properties.SEARCH, "1000")
    assert (properties.searched(), properties.examples(40)) == (1000, 1000)
    monkeypatch.setenv(properties.SEARCH, "0")
    with pytest.raises(ValueError, match="whole number from 1 on, got '0'"):
        properties.searched()
    fixed, drawn = hypothesis.settings.get_profile("ci"), hypothesis.settings.get_profile("search")
    assert fixed.derandomize and not drawn.derandomize and fixed.database is drawn.database is None


def test_no_test_sets_a_number_of_examples_that_a_search_cannot_raise() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        text = path.read_text()
        assert text.count("@settings(") == text.count("@settings(max_examples=examples(") or path.name == "test_tiers.py", path.name
