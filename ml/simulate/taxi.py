"""Monthly files as the District of Columbia published them for January 2015 to June 2019, of an invented city, and their truth.

Rows are made in blocks of BLOCK; a block's random numbers are a stream of its own, found from seed, month and block. So
neither threads nor the order of work change a byte, and memory holds a few blocks.
"""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.simulate import Simulation
from ml.simulate.taxi_city import City, Indices, build_city
from ml.simulate.taxi_dirt import DEFECTS, Written, spoil
from ml.simulate.taxi_lines import HEADER, Texts, build_texts, lines, month_times
from ml.simulate.taxi_trips import Choices, build_choices, charge_cents, draw, month_of

BLOCK = 16384
GROUP = 16  # blocks to a row group of the truth
# Trips of each month from January 2015 on: the README of the published files, which has January 2015 in its sample and starts
# its table with May 2015; the rest of its total is February to April, in equal parts.
PUBLISHED = (
    1307, 807351, 807351, 807350, 1397102, 1470466, 1401792, 1129707, 1308445, 1487133, 993502, 1081726,
    922338, 1194698, 1404639, 1369882, 1323155, 1282651, 1109118, 949650, 1203388, 1027036, 1011673, 898993,
    901807, 949578, 1237621, 1185859, 1188944, 1182526, 993834, 813513, 902795, 1056864, 867709, 730679,
    686993, 750363, 999048, 1040147, 984593, 941608, 810292, 735262, 819233, 900574, 753670, 670970,
    589475, 667546, 902382, 853950, 865374, 800030,
)  # fmt: skip
TRUTH = pa.schema(
    [("raw_file", pa.dictionary(pa.int32(), pa.string())), ("raw_row", pa.int64()), ("expected_fare_usd", pa.float64()),
     ("fare_noise_usd", pa.float64()), *((name, pa.bool_()) for name in DEFECTS)]
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Everything that does not depend on the month."""

    city: City
    choices: Choices
    charge_cents: Indices
    texts: Texts


@dataclass(frozen=True)
class File:
    """One file that was written: its rows, bytes, and rows by defect."""

    name: str
    rows: int
    bytes: int
    defects: list[int]


def rows_by_month(rows: int) -> list[int]:
    """Rows of each month from January 2015 on: in proportion to those published, by largest remainder (the earlier at a tie)."""
    whole = sum(PUBLISHED)
    shares = [divmod(rows * count, whole) for count in PUBLISHED]
    left = rows - sum(share for share, _ in shares)
    favoured = sorted(range(len(shares)), key=lambda month: (-shares[month][1], month))[:left]
    return [share + (month in favoured) for month, (share, _) in enumerate(shares)]


def generate(rows: int, seed: int, folder: Path, progress: Callable[[str, float, float], None], threads: int) -> Simulation:
    """Write the files, `truth/` and `simulation.json`, as `ml.simulate.simulate` promises; progress counts rows."""
    counts = rows_by_month(rows)
    city = build_city()
    world = World(city, build_choices(), charge_cents(), build_texts(city))
    (folder / "truth").mkdir()
    stop = threading.Event()
    done = [0] * len(counts)

    def month(number: int) -> File:
        return _write_month(world, number, counts[number], sum(counts[:number]), seed, folder, done, stop)

    with ThreadPoolExecutor(threads, thread_name_prefix="simulate") as pool:
        try:
            work = [pool.submit(month, number) for number, count in enumerate(counts) if count]
            left = set(work)
            while left:
                finished, left = wait(left, timeout=0.2, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                progress("simulating trips", sum(done), rows)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    files = [future.result() for future in work]
    record = {
        "rows": rows, "seed": seed, "bytes": sum(file.bytes for file in files),
        "defects": {name: sum(file.defects[place] for file in files) for place, name in enumerate(DEFECTS)},
        "files": [
            {"name": file.name, "rows": file.rows, "bytes": file.bytes, "defects": dict(zip(DEFECTS, file.defects, strict=True))}
            for file in files
        ],
    }  # fmt: skip
    (folder / "simulation.json").write_text(json.dumps(record, indent=1) + "\n")
    return Simulation(tuple(file.name for file in files), rows, sum(file.bytes for file in files))


def _write_month(
    world: World, number: int, rows: int, before: int, seed: int, folder: Path, done: list[int], stop: threading.Event
) -> File:
    """One month's file and truth; `before` are the rows of earlier months, `done` takes what is written."""
    stem = f"simulated_taxi_{2015 + number // 12}_{number % 12 + 1:02d}"
    defects, group = np.zeros(len(DEFECTS), np.int64), []
    with (
        open(folder / f"{stem}.txt", "wb", buffering=0) as file,
        pq.ParquetWriter(
            folder / "truth" / f"{stem}.parquet", TRUTH, use_dictionary=["raw_file"], write_statistics=["raw_row"],
            column_encoding={"raw_row": "DELTA_BINARY_PACKED"},
        ) as truth,
    ):  # fmt: skip
        size = file.write(f"{HEADER}\n".encode())
        for first, written, text in _blocks(world, number, rows, before, seed):
            if stop.is_set():
                break
            size += file.write(text)
            group.append(_truth(f"{stem}.txt", first, written))
            defects += np.count_nonzero(written.flags, axis=1)
            done[number] = first + len(written.hour)
            if len(group) == GROUP or done[number] == rows:
                truth.write_table(pa.Table.from_batches(group), row_group_size=GROUP * BLOCK)
                group = []
    return File(f"{stem}.txt", rows, size, defects.tolist())


def _blocks(world: World, number: int, rows: int, before: int, seed: int) -> Iterator[tuple[int, Written, memoryview]]:
    """First row (from 0), what is written, and its lines, block after block."""
    month = month_of(2015 + number // 12, number % 12 + 1)
    times = month_times(month)
    for block, first in enumerate(range(0, rows, BLOCK)):
        key = np.array([seed, number], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, block]))
        trips = draw(world.city, world.choices, month, rng, min(BLOCK, rows - first))
        written = spoil(world.city, world.choices, world.charge_cents, month, trips, rng, before + first + 1)
        yield first, written, lines(world.city, world.texts, times, written)


def _truth(name: str, first: int, written: Written) -> pa.RecordBatch:
    rows = len(written.hour)
    noise = np.where(written.fare < 0, np.nan, written.fare / 100 - written.expected)
    return pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [name]),
            pa.array(np.arange(first + 1, first + rows + 1)),
            pa.array(written.expected),
            pa.array(noise, mask=written.fare < 0),
            *(pa.array(flag) for flag in written.flags),
        ],
        schema=TRUTH,
    )
