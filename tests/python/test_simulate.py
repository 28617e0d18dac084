"""Simulated files: the same bytes for the same rows and seed, months as published, and orders that are refused."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml import provenance
from ml import simulate as packages
from ml.contract.meta import SimulateMeta
from ml.errors import UsageError
from ml.hashing import hash_tree
from ml.ingest import Load, declared_simulation
from ml.simulate import Simulation, simulate, simulator, stored, taxi, taxi_city
from ml.simulate.taxi_dirt import DEFECTS
from ml.storage import open_storage


def made(folder: Path, rows: int, seed: int, threads: int = 2) -> Simulation:
    folder.mkdir()
    return simulate("ml.simulate.taxi", rows, seed, folder, lambda *_: None, threads)


def test_the_bytes_depend_on_rows_and_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "one", 60_000, 5, threads=1)
    expected = hash_tree(tmp_path / "one")
    assert len(expected) == 54 + 54 + 1
    for threads in (2, 3):
        made(tmp_path / f"{threads}", 60_000, 5, threads)
        assert hash_tree(tmp_path / f"{threads}") == expected
    made(tmp_path / "other", 60_000, 6)
    assert set(hash_tree(tmp_path / "other").values()) & set(expected.values()) == set()
    monkeypatch.setattr(taxi, "GROUP", 1)
    made(tmp_path / "groups", 60_000, 5)
    texts = {name: digest for name, digest in expected.items() if not name.startswith("truth/")}
    assert texts.items() <= hash_tree(tmp_path / "groups").items()


def test_a_block_is_the_same_in_a_longer_month(tmp_path: Path) -> None:
    city = taxi.build_city()
    world = taxi.World(city, taxi.build_choices(), taxi.charge_cents(), taxi.build_texts(city))
    short, long = ([bytes(text) for _, _, text in taxi._blocks(world, 30, rows, 0, 9)] for rows in (2 * taxi.BLOCK, 3 * taxi.BLOCK))
    assert long[:2] == short and len(set(long)) == 3


def test_the_published_number_of_rows_gives_the_published_months() -> None:
    months = taxi.rows_by_month(53_173_692)
    assert months == list(taxi.PUBLISHED) and len(months) == 54 and sum(months) == 53_173_692
    assert (months[0], months[4], months[9], months[53]) == (1307, 1_397_102, 1_487_133, 800_030)
    assert sum(months[1:4]) == 2_423_359 - 1_307 and max(months[1:4]) - min(months[1:4]) <= 1


@given(st.integers(1, 10**10))
@settings(max_examples=examples(200))
def test_months_share_any_number_of_rows_without_a_rest(rows: int) -> None:
    months = taxi.rows_by_month(rows)
    assert sum(months) == rows
    assert all(abs(count - rows * published / 53_173_692) <= 1 for count, published in zip(months, taxi.PUBLISHED, strict=True))


def test_few_rows_make_few_files(tmp_path: Path) -> None:
    simulation = made(tmp_path / "few", 3, 0)
    assert len(simulation.files) == 3 and sorted(file.name for file in (tmp_path / "few").glob("*.txt")) == list(simulation.files)


def test_streets_are_in_the_box_and_have_names_of_their_own() -> None:
    city = taxi_city.build_city()
    latitude, longitude = (np.array([float(text) for text in axis[: city.blocks]]) for axis in (city.latitude, city.longitude))
    assert 5000 < city.blocks < 7000 and len(set(city.name[: city.blocks])) == city.blocks == len(
        set(zip(latitude, longitude, strict=True))
    )
    assert latitude.min() > 38.81138 and latitude.max() < 38.994909 and longitude.min() > -77.113633 and longitude.max() < -76.910012
    assert all("|" not in name and name for name in city.name[: city.blocks])


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 0},
        {"rows": -5},
        {"seed": -1},
        {"seed": 1 << 64},
        {"module": "ml.simulate.flights"},
        {"module": "ml.simulate.a.b"},
        {"module": "ml.simulate.taxi_fare"},
        {"module": "ml.simulate.taxi.months"},
        {"module": "json"},
        {"module": "ml.simulate."},
    ],
)
def test_a_wrong_order_is_refused_by_name_and_leaves_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    order = {"module": "ml.simulate.taxi", "rows": 10, "seed": 1, **wrong}
    with pytest.raises(UsageError) as refused:
        simulate(order["module"], order["rows"], order["seed"], tmp_path, lambda *_: None)
    assert str(next(iter(wrong.values()))) in str(refused.value) and refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_simulation_leaves_no_record(tmp_path: Path) -> None:
    def interrupt(label: str, done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate("ml.simulate.taxi", 3_000_000, 1, tmp_path, interrupt)
    assert not (tmp_path / "simulation.json").exists()


def test_progress_ends_with_all_rows(tmp_path: Path) -> None:
    seen: list[tuple[str, float, float]] = []
    simulate("ml.simulate.taxi", 5000, 1, tmp_path, lambda *step: seen.append(step))
    assert seen[-1][1:] == (5000, 5000) and all(step[1] <= step[2] for step in seen)


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A simulator of two lines, in a file outside the checkout that is imported as `ml.simulate.invented`."""
    source = tmp_path / "source" / "ml" / "simulate"
    source.mkdir(parents=True)
    for name in ("ml/__init__.py", "ml/simulate/__init__.py"):
        (source.parents[1] / name).write_text("")
    file = source / "invented.py"
    write_simulator(file, "one")
    monkeypatch.setattr(packages, "__path__", [*packages.__path__, str(source)])
    monkeypatch.setattr(provenance.code, "__kwdefaults__", {"source": source.parents[1]})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield file
    sys.modules.pop("ml.simulate.invented", None)


def write_simulator(file: Path, text: str) -> None:
    file.write_text(f'''
import json
from ml import simulate


def generate(rows, seed, folder, progress, threads):
    (folder / "simulated.txt").write_text("{text}")
    (folder / "simulation.json").write_text(json.dumps({{"files": [{{"name": "simulated.txt", "bytes": {len(text)}}}]}}))
    return simulate.Simulation(("simulated.txt",), rows, {len(text)})
''')
    sys.modules.pop("ml.simulate.invented", None)
    importlib.invalidate_caches()


def test_an_edited_simulator_makes_new_files_and_the_same_one_does_not(invented: Path, tmp_path: Path) -> None:
    where, wanted = open_storage(str(tmp_path / "root"), "w"), SimulateMeta(module="ml.simulate.invented", rows=1, seed=1)

    def text() -> tuple[str, int]:
        file = stored.files(where, "toy", wanted, lambda *_: None).folder / "simulated.txt"
        return file.read_text(), file.stat().st_ino

    first = text()
    loaded = [Load("t", "simulated.txt", "1", 1, 1, 0, bytes=3)]
    assert first[0] == "one" and text() == first and not stored.is_outdated(where, "toy", wanted, loaded)
    write_simulator(invented, "two")
    assert stored.is_outdated(where, "toy", wanted, loaded)
    assert not stored.is_outdated(where, "toy", wanted, [*loaded, Load("t", "own.txt", "2", 1, 1, 0, bytes=9)])
    assert text()[0] == "two" and not stored.is_outdated(where, "toy", wanted, loaded)


def test_the_simulator_and_the_columns_of_its_truth_are_declared(checkout: Path) -> None:
    declared = declared_simulation(checkout, "taxi")
    assert declared is not None and declared_simulation(checkout, "flights") is None
    assert simulator(declared.module) is taxi
    assert set(taxi.TRUTH.names) - {"raw_file", "raw_row", declared.noise, *declared.truth} == set(DEFECTS)


def test_shared_code_names_no_column_of_a_project(checkout: Path) -> None:
    word = re.compile(r"\b(fare|taxi|trips?|carrier|airport|delay)s?(\b|_)", re.IGNORECASE)
    for folder in ("ml", "serving"):
        for file in (checkout / folder).rglob("*.py"):
            if not file.name.startswith("taxi"):
                lines = [line for line in file.read_text().splitlines() if word.search(line) and "skewless quality taxi" not in line]
                assert lines == [], file
