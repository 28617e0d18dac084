"""Simulated files: the same bytes for the same rows and seed, months as published, and orders that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml.errors import UsageError
from ml.hashing import hash_tree
from ml.simulate import Simulation, simulate, taxi, taxi_city


def made(folder: Path, rows: int, seed: int, threads: int = 2) -> Simulation:
    folder.mkdir()
    return simulate("taxi", rows, seed, folder, lambda *_: None, threads)


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
    [{"rows": 0}, {"rows": -5}, {"seed": -1}, {"seed": 1 << 64}, {"project": "flights"}, {"project": "a.b"}, {"project": "taxi_fare"}],
)
def test_a_wrong_order_is_refused_by_name_and_leaves_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    order = {"project": "taxi", "rows": 10, "seed": 1, **wrong}
    with pytest.raises(UsageError) as refused:
        simulate(order["project"], order["rows"], order["seed"], tmp_path, lambda *_: None)
    assert str(next(iter(wrong.values()))) in str(refused.value) and refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_simulation_leaves_no_record(tmp_path: Path) -> None:
    def interrupt(label: str, done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate("taxi", 3_000_000, 1, tmp_path, interrupt)
    assert not (tmp_path / "simulation.json").exists()


def test_progress_ends_with_all_rows(tmp_path: Path) -> None:
    seen: list[tuple[str, float, float]] = []
    simulate("taxi", 5000, 1, tmp_path, lambda *step: seen.append(step))
    assert seen[-1][1:] == (5000, 5000) and all(step[1] <= step[2] for step in seen)
