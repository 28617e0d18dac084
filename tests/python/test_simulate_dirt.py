"""Simulated trips: dirt that is really there, as often as ordered, truth that says so, and sound rows that keep every rule."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from ml.simulate import Simulation, simulate, taxi, taxi_city, taxi_fare

ROWS = 400_000
METRIC_PROVIDER = "Kilo Cab"
# What was ordered, of all rows; kilometres are a provider's share.
SHARES = {
    "missing_fare": 0.0063, "fare_under_minimum": 0.0062, "fare_absurd": 0.0002, "fare_wrong_plausible": 0.001,
    "origin_missing": 0.147, "origin_zero": 0.002, "origin_out_of_box": 0.001, "origin_swapped": 0.001,
    "destination_missing": 0.222, "destination_zero": 0.002, "destination_out_of_box": 0.001, "destination_swapped": 0.001,
    "time_unreadable": 0.0005, "time_outside_month": 0.001, "day_month_swapped": 0.001, "dropoff_before_pickup": 0.002,
    "distance_negative": 0.0005, "distance_absurd": 0.0005, "exact_duplicate": 0.003, "business_duplicate": 0.003,
    "kilometres_as_miles": 0.07 * 0.989,
}  # fmt: skip
IN_BOX = "{0}_latitude between 38.81138 and 38.994909 and {0}_longitude between -77.113633 and -76.910012"
SWAPPED = "{0}_longitude between 38.81138 and 38.994909 and {0}_latitude between -77.113633 and -76.910012"
NO_TEXT = "{1}_BLOCK_LATITUDE in ('', 'NULL') and {1}_BLOCK_LATITUDE = {1}_BLOCK_LONGITUDE and {1}_BLOCK_LATITUDE = {1}_BLOCKNAME"
MEASURED = "distance > 0 and distance <= 250"
# What a reader of the text alone sees: true of the rows that have the defect and of no others.
VISIBLE = {
    "missing_fare": "FAREAMOUNT in ('', 'NULL') and TOTALAMOUNT = FAREAMOUNT",
    "fare_under_minimum": "fare between 0 and 3.24",
    "fare_absurd": "fare >= 325",
    **{
        f"{end}_{kind}": seen.format(end, end.upper())
        for end in ("origin", "destination")
        for kind, seen in {
            "missing": NO_TEXT + " and {1}CITY = 'NULL' and {1}STATE = 'NULL' and {1}ZIP = '00000'",
            "zero": "{0}_latitude = 0 and {0}_longitude = 0",
            "out_of_box": f"{{0}}_latitude is not null and {{0}}_latitude <> 0 and not ({IN_BOX}) and not ({SWAPPED})",
            "swapped": SWAPPED,
        }.items()
    },
    "time_unreadable or (day_month_swapped and pickup_at is null)": "pickup_at is null",
    "time_outside_month or (day_month_swapped and pickup_at is not null)": "date_trunc('month', pickup_at) <> file_month",
    "dropoff_before_pickup": "dropoff_at < pickup_at and dropoff_at >= pickup_at - interval 5 hour",
    "distance_negative": "distance < 0",
    "distance_absurd": "distance > 250",
    "kilometres_as_miles": f"PROVIDERNAME = '{METRIC_PROVIDER}' and {MEASURED}",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    folder: Path
    simulation: Simulation
    rows: duckdb.DuckDBPyConnection  # a view `rows`: text, numbers and truth side by side

    def count(self, condition: str) -> int:
        return int(self.all(f"select count(*) from rows where {condition}")[0][0])

    def all(self, query: str) -> list[tuple[Any, ...]]:
        return self.rows.execute(query).fetchall()

    def arrays(self, query: str) -> dict[str, np.ndarray]:
        return self.rows.execute(query).fetchnumpy()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("simulated") / "taxi"
    folder.mkdir()
    simulation = simulate("ml.simulate.taxi", ROWS, 11, folder, lambda *_: None)
    texts, truths = [], []
    for name in simulation.files:
        columns = pa.csv.read_csv(
            folder / name,
            parse_options=pa.csv.ParseOptions(delimiter="|", quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types={column: pa.string() for column in taxi.HEADER.split("|")}),
        )
        truth = pq.read_table(folder / "truth" / name.replace(".txt", ".parquet"))
        assert truth["raw_file"].unique().to_pylist() == [name]
        assert truth["raw_row"].to_pylist() == list(range(1, columns.num_rows + 1))
        texts.append(columns)
        truths.append(truth)
    text, truth = pa.concat_tables(texts), pa.concat_tables(truths).unify_dictionaries()
    for name in truth.column_names:
        text = text.append_column(name, truth[name])
    connection = duckdb.connect(config={"threads": 2})
    connection.register("arrow", text)
    numbers = {"fare": "FAREAMOUNT", "distance": "MILEAGE"} | {
        f"{end}_{axis}": f"{end}_BLOCK_{axis}" for end in ("origin", "destination") for axis in ("latitude", "longitude")
    }
    moments = {"pickup_at": "ORIGINDATETIME_TR", "dropoff_at": "DESTINATIONDATETIME_TR"}
    connection.execute(f"""
        create table rows as
        select *, raw_file::varchar as file,
            {", ".join(f"try_cast({column} as double) as {name}" for name, column in numbers.items())},
            {", ".join(f"try_strptime({column}, '%m/%d/%Y %H:%M') as {name}" for name, column in moments.items())},
            make_date(substr(raw_file::varchar, 16, 4)::int, substr(raw_file::varchar, 21, 2)::int, 1) as file_month,
            not ({" or ".join(name for name in SHARES if name != "kilometres_as_miles")}) as sound
        from arrow""")
    return Made(folder, simulation, connection)


def test_files_and_record_count_what_is_in_them(simulated: Made) -> None:
    counts = dict(simulated.all("select file, count(*) from rows group by file"))
    names = [f"simulated_taxi_{2015 + month // 12}_{month % 12 + 1:02d}.txt" for month in range(54)]
    assert list(simulated.simulation.files) == names
    assert [counts[name] for name in names] == taxi.rows_by_month(ROWS)
    assert simulated.simulation.rows == ROWS == sum(counts.values())
    assert simulated.simulation.bytes == sum((simulated.folder / name).stat().st_size for name in names)
    record = json.loads((simulated.folder / "simulation.json").read_text())
    assert (record["rows"], record["seed"], record["bytes"]) == (ROWS, 11, simulated.simulation.bytes)
    assert {file["name"]: file["rows"] for file in record["files"]} == counts
    assert record["defects"] == {name: simulated.count(name) for name in SHARES}


def test_the_header_is_that_of_the_layout(simulated: Made, checkout: Path) -> None:
    (source,) = yaml.safe_load((checkout / "models/taxi/staging/_taxi__sources.yml").read_text())["sources"]
    (layout,) = [table for table in source["tables"] if table["name"] == "dc"]
    text = (simulated.folder / simulated.simulation.files[-1]).read_bytes()
    assert text.split(b"\n", 1)[0].decode() == "|".join(column["name"] for column in layout["columns"])
    assert b"\r" not in text and b'"' not in text and text.endswith(b"\n")
    assert {line.count(b"|") for line in text.splitlines()} == {26}


@pytest.mark.parametrize("defect", SHARES)
def test_a_defect_is_as_frequent_as_ordered(simulated: Made, defect: str) -> None:
    share = SHARES[defect]
    assert abs(simulated.count(defect) - ROWS * share) < 4.5 * (ROWS * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("defect", VISIBLE)
def test_a_defect_is_in_the_text_of_its_rows_and_of_no_others(simulated: Made, defect: str) -> None:
    assert simulated.count(defect) > 30
    seen = f"coalesce({VISIBLE[defect]}, false)"
    if defect == "dropoff_before_pickup":
        seen += " and not (time_unreadable or time_outside_month or day_month_swapped)"
    assert simulated.all(f"select file, raw_row from rows where ({defect}) <> ({seen}) limit 3") == []


@pytest.mark.parametrize("family", ["fare", "origin_", "destination_", "distance", "time|day_month|dropoff_before", "duplicate"])
def test_defects_of_a_family_exclude_each_other(simulated: Made, family: str) -> None:
    names = [name for name in SHARES if any(part in name for part in family.split("|"))]
    assert len(names) >= 2
    assert simulated.count(f"{' + '.join(f'{name}::int' for name in names)} > 1") == 0


def test_a_swapped_day_is_another_day_of_the_files_month(simulated: Made) -> None:
    assert simulated.count("""day_month_swapped and (
        substr(ORIGINDATETIME_TR, 4, 2)::int <> month(file_month) or substr(ORIGINDATETIME_TR, 7, 4)::int <> year(file_month)
        or substr(ORIGINDATETIME_TR, 1, 2) = substr(ORIGINDATETIME_TR, 4, 2)
    )""") == 0  # fmt: skip


def test_both_spellings_of_nothing_occur(simulated: Made) -> None:
    for column, defect in (
        ("FAREAMOUNT", "missing_fare"),
        ("ORIGIN_BLOCK_LATITUDE", "origin_missing"),
        ("DESTINATION_BLOCK_LATITUDE", "destination_missing"),
    ):
        spelled = dict(simulated.all(f"select {column}, count(*) from rows where {defect} group by 1"))
        rarer = "" if defect == "missing_fare" else "NULL"
        assert set(spelled) == {"", "NULL"} and 0.28 < spelled[rarer] / sum(spelled.values()) < 0.38
    assert 0.008 < simulated.count("MILEAGE = 'NULL'") / ROWS < 0.012


def test_copies_repeat_an_earlier_sound_row_and_nothing_else_repeats(simulated: Made) -> None:
    columns = taxi.HEADER.split("|")
    copied = "(exact_duplicate or business_duplicate)"
    whole, business = (
        simulated.all(f"""
            select count(*), count(*) filter (place > 1 and not flag), count(*) filter (place = 1 and flag),
                count(*) filter (place > 1 and not same), count(*) filter (place > 1)
            from (
                select {flag} as flag, row_number() over key as place,
                    first_value(sound and not {copied}) over key and expected_fare_usd = first_value(expected_fare_usd) over key
                        and fare_noise_usd = first_value(fare_noise_usd) over key
                        and kilometres_as_miles = first_value(kilometres_as_miles) over key as same
                from rows
                where not (origin_missing or destination_missing)
                window key as (partition by file, {", ".join(names)} order by raw_row)
            )""")[0]
        for flag, names in (("exact_duplicate", columns), (copied, columns[1:]))
    )  # fmt: skip
    assert whole[1:4] == (0, 0, 0) and whole[4] == simulated.count("exact_duplicate")
    assert business[1:4] == (0, 0, 0) and business[4] == simulated.count(copied)
    keys = ["PROVIDERNAME", *columns[25:], *columns[18:20], *columns[21:23], "FAREAMOUNT", "MILEAGE", "DURATION"]
    distinct = simulated.all(f"select count(*) from (select distinct {', '.join(keys)} from rows where sound or {copied})")[0][0]
    assert distinct == simulated.count("sound")
    assert simulated.all("select count(distinct OBJECTID) from rows")[0][0] == ROWS - simulated.count("exact_duplicate")


def test_sound_rows_keep_every_rule(simulated: Made) -> None:
    drop = "case when file_month < '2018-07-01' then 3.25 else 3.5 end"
    at_airport = " or ".join(f"{end}_latitude < 38.856 and {end}_longitude < -77.0335" for end in ("origin", "destination"))
    for broken in (
        f"fare is null or fare < {drop} or fare > 300",
        f"not ({IN_BOX.format('origin')}) or not ({IN_BOX.format('destination')})",
        "pickup_at is null or date_trunc('month', pickup_at) <> file_month or minute(pickup_at) <> 0",
        "dropoff_at is null or dropoff_at < pickup_at or dropoff_at > pickup_at + interval 4 hour",
        "not (DURATION::int between 1 and 200) or not coalesce(distance between 0 and 60, true)",
        f"(AIRPORT = 'Y') <> ({at_airport})",
        "PAYMENTTYPE not in ('1', '2', '4') or TRIPTYPE not in ('1', '2', '3', '4') or PAYMENTTYPE <> '1' and GRATUITYAMOUNT <> '0.00'",
        "ORIGINCITY = 'NULL' or ORIGINZIP = '00000' or DESTINATIONCITY = 'NULL' or DESTINATIONZIP = '00000'",
    ):
        assert simulated.count(f"sound and ({broken})") == 0, broken
    assert simulated.count("sound") > 0.6 * ROWS
    assert simulated.count("AIRPORT = 'Y' and origin_missing and not destination_missing and destination_latitude > 38.86") > 300


def test_totals_and_truth_follow_a_spoiled_fare(simulated: Made) -> None:
    parts = "fare + GRATUITYAMOUNT::double + SURCHARGEAMOUNT::double + EXTRAFAREAMOUNT::double + TOLLAMOUNT::double"
    assert simulated.count(f"fare is not null and abs(TOTALAMOUNT::double - ({parts})) > 0.001") == 0
    assert simulated.count("fare_under_minimum and fare = 0") / simulated.count("fare_under_minimum") == pytest.approx(0.5, abs=0.05)
    assert simulated.count("FAREAMOUNT = '54343.00'") > 0
    assert simulated.count("fare_wrong_plausible and not fare between 5 and 60") == 0
    assert simulated.count("(fare is null) <> (fare_noise_usd is null)") == 0
    assert simulated.count("abs(fare - expected_fare_usd - fare_noise_usd) > 1e-9") == 0


@pytest.mark.parametrize(
    "group", ["1", "hour(pickup_at)", "ntile(3) over (order by expected_fare_usd)", "TRIPTYPE", "file_month >= '2018-07-01'"]
)
def test_noise_has_mean_zero_in_every_group(simulated: Made, group: str) -> None:
    for key, count, mean, deviation in simulated.all(f"""
        select key, count(*), avg(fare_noise_usd), stddev_samp(fare_noise_usd)
        from (select *, {group} as key from rows where sound) group by key"""):  # fmt: skip
        assert abs(mean) < 4 * deviation / count**0.5, f"{group} = {key}"


def test_the_expected_fare_is_a_function_of_what_is_published(simulated: Made) -> None:
    city = taxi_city.build_city()
    place = {spot: number for number, spot in enumerate(zip(city.latitude, city.longitude, strict=True))}
    for year, month in ((2018, 6), (2018, 7)):
        found = simulated.arrays(f"""
            select ORIGIN_BLOCK_LATITUDE as a, ORIGIN_BLOCK_LONGITUDE as b,
                DESTINATION_BLOCK_LATITUDE as c, DESTINATION_BLOCK_LONGITUDE as d,
                hour(pickup_at) as hour, isodow(pickup_at) - 1 as weekday, AIRPORT = 'Y' as airport, expected_fare_usd as expected
            from rows where sound and file_month = '{year}-{month:02d}-01'""")  # fmt: skip
        start = np.array([place[spot] for spot in zip(found["a"], found["b"], strict=True)], np.int32)
        goal = np.array([place[spot] for spot in zip(found["c"], found["d"], strict=True)], np.int32)
        per_mile = np.array(
            [taxi_fare.waiting_by_hour(day)[hour] for day, hour in zip(found["weekday"].tolist(), found["hour"].tolist(), strict=True)]
        )
        airport = found["airport"].astype(bool)
        miles = taxi_fare.route_miles(city, start, goal, airport)
        waiting = taxi_fare.waiting_minutes(city, start, goal, airport, miles, per_mile)
        assert len(miles) > 3000 and miles.min() >= 0.3
        rates = taxi_fare.Tariff(3.25, 2.16, 25.0) if month == 6 else taxi_fare.Tariff(3.5, 2.4, 27.5)
        np.testing.assert_allclose(taxi_fare.fare_usd(rates, miles, waiting), found["expected"], atol=1e-6)


def test_fares_look_like_those_published_for_july_2017(simulated: Made) -> None:
    ((mean, deviation, quartiles),) = simulated.all("""
        select avg(fare), stddev_samp(fare), quantile_cont(fare, [0.25, 0.5, 0.75])
        from rows where not (missing_fare or fare_under_minimum or fare_absurd) and year(file_month) = 2017""")  # fmt: skip
    assert mean == pytest.approx(12.3, abs=0.9) and deviation == pytest.approx(9, abs=1)
    assert quartiles == pytest.approx([7.3, 10, 14.3], abs=0.6)


def test_one_provider_counts_kilometres(simulated: Made) -> None:
    ratios = dict(simulated.all(f"""
        select kilometres_as_miles, avg(distance) / avg(abs(origin_latitude - destination_latitude) * 69.09
            + abs(origin_longitude - destination_longitude) * 69.09 * cos(radians(38.903)))
        from rows where sound and {MEASURED} group by 1"""))  # fmt: skip
    assert ratios[True] / ratios[False] == pytest.approx(1.609, abs=0.05)
