"""The profile of a raw table: types, nulls, ranges and what looks wrong, on invented columns and on real taxi files."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CHECKOUT, Checkout, make_toy
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml import profile, records, storage
from ml.ingest import RawTable

TAXI = CHECKOUT.parent / "shared" / "data" / "taxi"


def column_of(root: Path, values: list[str | None]) -> dict[str, Any]:
    """The profile of one column of these values, through real files and DuckDB; the second half is in a second file."""
    where = storage.open_storage(str(root), "default")
    table = RawTable("invented", "table", ("the column",), ",", None, None)
    storage.remove(where, table.key) if storage.exists(where, table.key) else None
    half = len(values) // 2
    for name, part in (("a", values[:half]), ("b", values[half:])):
        rows = [[*part], ["file"] * len(part), list(range(len(part))), [name] * len(part)]
        made = pa.table([pa.array(cells, field.type) for cells, field in zip(rows, table.schema, strict=True)], schema=table.schema)
        storage.write_file(where, f"{table.key}/{name}.parquet", lambda path, made=made: pq.write_table(made, path))
    storage.remove(where, where.own("invented", "profiles", "table.json"))
    record, _, _ = profile.profile(where, table, lambda *_: None)
    return records.to_json(record)["columns"][0]


def kinds(column: dict[str, Any]) -> set[str]:
    return {found["kind"] for found in column["suspicions"]}


TEXTS = st.one_of(
    st.integers(-50, 50).map(str),
    st.floats(-99, 99).map(lambda number: f"{number:.3f}"),
    st.sampled_from(
        ["", "NA", "null", " na ", "yes", "No", "2024-05-06", "a word", " padded", "ﬀ ü\t", "1e5", "007", "'quoted'", "5.", "-"]
    ),
)


@settings(max_examples=examples(60))
@given(st.lists(TEXTS, min_size=1, max_size=60))
def test_counts_equal_those_of_plain_python(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    column = column_of(tmp_path_factory.getbasetemp() / "property", list(values))
    missing = [value for value in values if value.strip().lower() in profile.NULLS]
    others = [value for value in values if value.strip().lower() not in profile.NULLS]
    assert (column["rows"], column["nulls"], column["empty"]) == (len(values), len(missing), values.count(""))
    assert {entry["text"]: entry["rows"] for entry in column["null_spellings"]} == Counter(missing)
    assert column["distinct"] == len(set(others))
    assert [entry["rows"] for entry in column["top"]] == [count for _, count in Counter(values).most_common(5)]
    assert column["length"]["max"] == (max(map(len, others)) if others else None)
    if column["type"] in ("integer", "double") and not column["misfits"]["rows"]:
        numbers = sorted(map(float, others))
        for level in profile.QUANTILES:
            assert column["numbers"][f"p{level}"] == numbers[max(math.ceil(level / 100 * len(numbers)) - 1, 0)]
        assert (column["numbers"]["min"], column["numbers"]["max"]) == (numbers[0], numbers[-1])


@pytest.mark.parametrize(
    ("values", "kind", "name"),
    [
        (["1", "-20", "+3", "007"], "integer", None),
        (["1", "2.5", ".5", "1e-3"], "double", None),
        (["1", "2", "0x1F", "4"], "text", None),
        (["yes", "No", "NO"], "boolean", None),
        (["nan", "inf", "1"], "text", None),
        (["20240131", "20241224"], "date", "%Y%m%d"),
        (["20240131", "20241324"], "integer", None),
        (["2024-02-29", "2023-01-05"], "date", "%Y-%m-%d"),
        (["01/31/2024", "2/5/2024"], "date", "%m/%d/%Y"),
        (["31.01.2024", "05.02.2024"], "date", "%d.%m.%Y"),
        (["01/05/2015 05:00", "12/25/2015 23:00"], "timestamp", "%m/%d/%Y %H:%M"),
        (["1/25/2015 5:00:01 PM"], "timestamp", "%m/%d/%Y %I:%M:%S %p"),
        (["2009-06-15 17:26:21.0000001", "2009-06-15 17:26:21.00000049"], "timestamp", "%Y-%m-%d %H:%M:%S.%f"),
        (["2009-06-15 17:26:21 UTC"], "timestamp", "%Y-%m-%d %H:%M:%S UTC"),
        (["2009-06-15T17:26:21Z"], "timestamp", "%Y-%m-%dT%H:%M:%SZ"),
        (["2009-06-15T17:26:21+02:00"], "timestamp", "%Y-%m-%dT%H:%M:%S%z"),
        (["2024-02-30", "2023-13-05"], "text", None),
        (["", "NA"], "nothing", None),
    ],
)  # fmt: skip
def test_a_column_has_the_type_as_which_its_values_parse(tmp_path: Path, values: list[str | None], kind: str, name: str | None) -> None:
    column = column_of(tmp_path, values)
    assert column["type"] == kind
    assert [entry["format"] for entry in column["formats"]] == ([name] if name else [])


NUMBERS = [str(20 + number * 7 % 61) for number in range(300)]


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        ([*NUMBERS, "lots"], "mixture", "'lots'"),
        ([*NUMBERS, *(["lots"] * 40)], "mixture", "would parse as integer"),
        ([*NUMBERS, "53.5"], "mixture", "whole numbers but for 1 rows"),
        (["2024-01-15", "15.01.2024"], "formats", "2 ways of writing"),
        (["13/01/2024", "01/13/2024"], "order", "day before month"),
        (["03/04/2024", "05/06/2024"], "order", "cannot be distinguished"),
        (["1", "NA", ""], "nulls", "2 spellings"),
        (["1", "NA", " na"], "nulls", "2 spellings"),
        (["JFK", "jfk", "EWR"], "capitals", "'JFK', 'jfk'"),
        (["JFK ", "EWR"], "blanks", "'JFK '"),
        (["JFK\u00a0", "EWR"], "blanks", "1 rows"),
        (["08540", "10001"], "zeros", "'08540'"),
        ([*NUMBERS, *(["9999"] * 3)], "sentinel", "9999 in 3 rows"),
        ([*map(str, range(-40, 400)), *(["-1"] * 30)], "sentinel", "-1 in 31 rows"),
        ([*map(str, range(-40, 400)), *(["0"] * 60)], "sentinel", "over ten times each neighbour"),
        (["2024-01-15", "2024-02-17", "1900-01-01"], "sentinel", "1900-01-01"),
        ([*NUMBERS, "54343"], "extreme", "54343"),
        (["x", "x", "NA"], "constant", "'x' or null"),
        (["NA", "", "NA"], "constant", "nothing but nulls"),
        (["a", "b", "c"], "unique", "a key?"),
        ([*(f"P{number}" for number in range(200)), "P0"], "unique", "1 of 201 rows repeat"),
    ],
)
def test_what_looks_wrong_is_said_in_a_sentence(tmp_path: Path, values: list[str | None], kind: str, says: str) -> None:
    sentences = [found["says"] for found in column_of(tmp_path, values)["suspicions"] if found["kind"] == kind]
    assert any(says in sentence for sentence in sentences), sentences


@pytest.mark.parametrize(
    "values",
    [
        [*NUMBERS],
        [*NUMBERS, "NA", "NA"],
        ["JFK", "EWR", "JFK"],
        ["13/01/2024", "05/06/2024", "13/01/2024"],
        ["2024-01-15", "2024-02-17", "2024-02-17"],
        ["1.5", "2.25", "2.25"],
        ["0", "1", "0", "1"],
        ["99", "98", "97", "97", "96", "100", "101", "99"],
    ],
)
def test_a_plain_column_is_not_suspected(tmp_path: Path, values: list[str | None]) -> None:
    assert column_of(tmp_path, values)["suspicions"] == []


def test_a_null_of_the_file_format_is_counted_with_the_spelled_ones(tmp_path: Path) -> None:
    column = column_of(tmp_path, ["1", None, "NA", None])
    assert (column["nulls"], column["type"]) == (3, "integer")
    assert {entry["text"]: entry["rows"] for entry in column["null_spellings"]} == {None: 2, "NA": 1}


@pytest.mark.dbt
def test_the_profile_of_the_toy_names_its_dirt_and_is_kept_until_a_load_comes(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    assert "is empty" in toy.skewless("profile", "toy", "parcels", code=2)
    toy.skewless("ingest", "toy")
    first = toy.json("profile", "toy", "parcels")
    columns = {column["name"]: column for column in first["columns"]}
    assert list(columns) == ["parcel", "sent_at", "depot", "carrier", "weight_g", "priority", "is_late"]
    assert columns["sent_at"]["type"] == "timestamp" and columns["sent_at"]["misfits"]["examples"] == ["2024-02-30 10:00"]
    assert columns["weight_g"]["null_spellings"] == [{"text": "NA", "rows": 2}] and "extreme" in kinds(columns["weight_g"])
    assert columns["is_late"]["type"] == "boolean" and "unique" in kinds(columns["parcel"])
    assert json.loads((toy.own / "profiles" / "parcels.json").read_text())["columns"] == first["columns"]
    assert toy.json("profile", "toy", "parcels")["unchanged"]
    (tmp_path / "more.csv").write_text("parcel,sent_at,depot,carrier,weight_g,priority,is_late\nQ,2024-01-01 10:00,A,swift,1,no,no\n")
    toy.skewless("ingest", "toy", str(tmp_path / "more.csv"))
    again = toy.json("profile", "toy", "parcels")
    assert not again["unchanged"] and again["rows"] == first["rows"] + 1


def test_without_a_table_the_tables_are_listed_and_a_wrong_name_gets_a_near_one(toy: Checkout) -> None:
    toy.skewless("ingest", "toy")
    assert {entry["table"]: entry["rows"] for entry in toy.json("profile", "toy")["tables"]} == {"parcels": 502, "depots": 5}
    assert "skewless profile toy parcels" in toy.skewless("profile", "toy")
    assert "did you mean parcels?" in toy.skewless("profile", "toy", "parcel", code=2)


def taxi(folder: Path, name: str, file: str, delimiter: str) -> tuple[Checkout, list[str]]:
    """A toy checkout whose project also declares, and has read, a real file; the table that is printed."""
    path = TAXI / file
    if not path.exists():
        pytest.skip(f"the taxi files are not here: no {path}")
    toy = make_toy(folder)
    with open(path) as lines:
        header = next(lines).rstrip("\r\n").split(delimiter)
    (sources,) = (toy.folder / "models/toy/staging").glob("*sources.yml")
    columns = ", ".join(f"{{name: {column}}}" for column in header)
    entry = f"      - name: {name}\n        config: {{meta: {{ingest: {{delimiter: '{delimiter}'}}}}}}\n        columns: [{columns}]\n"
    sources.write_text(sources.read_text() + entry)
    toy.skewless("ingest", "toy", str(path))
    return toy, toy.skewless("profile", "toy", name).splitlines()


@pytest.mark.dbt
def test_a_dirty_file_of_new_york_fares_is_seen_through(tmp_path: Path) -> None:
    toy, lines = taxi(tmp_path / "toy", "fares", "nyc/cab_fare_dirty.csv", ",")
    record = toy.json("profile", "toy", "fares")
    columns = {column["name"]: column for column in record["columns"]}
    assert record["rows"] == 16_066 and record["unchanged"]
    assert columns["fare_amount"]["empty"] == 24 and columns["fare_amount"]["numbers"]["max"] == 54_343
    assert columns["passenger_count"]["empty"] == 55 and {"mixture", "extreme"} <= kinds(columns["passenger_count"])
    assert [entry["format"] for entry in columns["pickup_datetime"]["formats"]] == ["%Y-%m-%d %H:%M:%S UTC"]
    assert all("sentinel" in kinds(columns[f"{end}_{axis}"]) for end in ("pickup", "dropoff") for axis in ("longitude", "latitude"))
    assert all(len(line) <= 80 for line in lines if not line.startswith("profile:"))


@pytest.mark.dbt
def test_a_file_of_washington_is_seen_through(tmp_path: Path) -> None:
    toy, lines = taxi(tmp_path / "toy", "trips", "dc/taxi_2015_01.txt", "|")
    columns = {column["name"]: column for column in toy.json("profile", "toy", "trips")["columns"]}
    assert [entry["format"] for entry in columns["ORIGINDATETIME_TR"]["formats"]] == ["%m/%d/%Y %H:%M"]
    assert "zeros" in kinds(columns["ORIGINZIP"]) and "constant" in kinds(columns["TOLLAMOUNT"])
    assert [entry["text"] for entry in columns["MILEAGE"]["null_spellings"]] == ["NULL"]
    assert all(len(line) <= 80 for line in lines if not line.startswith("profile:"))
