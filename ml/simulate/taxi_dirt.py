"""What is wrong with the files, how often, and which row has it: turns sound trips into the text of the files, with the truth.

Defects of one family exclude each other, those of different families are drawn independently. A copy repeats an earlier
sound row of its block, so rates hold among all rows because `KEPT` corrects for the draws of copies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ml.simulate.taxi_city import SLOTS, City, Floats, Indices
from ml.simulate.taxi_trips import FROM_FAR, METRIC, TO_FAR, TRIP_TYPES, Choices, Month, Trips

# Shares of all rows, by family; each has a column of that name in the truth.
FARE = {"missing_fare": 0.0063, "fare_under_minimum": 0.0062, "fare_absurd": 0.0002, "fare_wrong_plausible": 0.001}
ORIGIN = {"origin_missing": 0.147, "origin_zero": 0.002, "origin_out_of_box": 0.001, "origin_swapped": 0.001}
DESTINATION = {"destination_missing": 0.222, "destination_zero": 0.002, "destination_out_of_box": 0.001, "destination_swapped": 0.001}
TIME = {"time_unreadable": 0.0005, "time_outside_month": 0.001, "day_month_swapped": 0.001, "dropoff_before_pickup": 0.002}
DISTANCE = {"distance_negative": 0.0005, "distance_absurd": 0.0005}
COPY = {"exact_duplicate": 0.003, "business_duplicate": 0.003}
METRIC_DEFECT = "kilometres_as_miles"  # every row of one provider that has a distance which is right otherwise
DEFECTS = (*FARE, *ORIGIN, *DESTINATION, *TIME, *DISTANCE, *COPY, METRIC_DEFECT)
MISSING = 1  # a code is the place in its family, from 1
UNREADABLE, OUTSIDE_MONTH, DAY_MONTH_SWAPPED, BEFORE_PICKUP = 1, 2, 3, 4
UNMEASURED = 0.01  # rows without MILEAGE: no defect, the column may be empty
KEPT = 1 - sum(COPY.values())

NULL, EMPTY = -1, -2  # instead of cents
NO_MILEAGE = np.iinfo(np.int32).min  # instead of tenths
ABSURD_CENTS = 5434300  # 54343.00
MIN_CENTS = 325  # the tariff's drop until June 2018
FAR_TENTHS = 999990  # 99999
PLAIN, SWAPPED, ZERO, OUT, NOT_GIVEN, NOT_GIVEN_NULL = 0, 1, 2, 3, 7, 8  # how a place is written; OUT has four ways
GARBAGE = (
    "NULL",
    "",
    "02/30/2016 10:00",
    "13/45/2015 99:00",
    "2015-0x-12 08:00",
    "00/00/0000 00:00",
    "04/31/2017 18:00",
    "01-JAN-2016",
    "#VALUE!",
    "06/17/2018 77:00",
)  # fmt: skip  (none of it is a moment in the form MM/DD/YYYY HH:MM)


@dataclass(frozen=True)
class Written:
    """What the file holds, one element a row, and the truth. Money is in cents or NULL or EMPTY, distance in tenths.

    `flags` (defects, rows) follow DEFECTS; `odd_times` are pick-up and drop-off as text where `hour` and `after` do not say it.
    """

    object_id: NDArray[np.int64]
    hour: Indices
    after: Indices
    start: Indices
    start_as: Indices
    goal: Indices
    goal_as: Indices
    airport: NDArray[np.bool_]
    company: Indices
    payment: Indices
    charges: Indices
    tip: Indices
    fare: Indices
    total: Indices
    mileage: Indices
    minutes: Indices
    expected: Floats
    flags: NDArray[np.bool_]
    odd_times: dict[int, tuple[str, str]]


def spoil(
    city: City, tables: Choices, charge_cents: Indices, month: Month, trips: Trips, rng: np.random.Generator, first_id: int
) -> Written:
    """Sound trips as they are published: some columns spoiled, some rows copies of earlier ones. `trips` is used up."""
    rows = len(trips.hour)
    stays = 1 - float(month.day_is_month[month.slots].mean())
    codes = {
        "fare": _codes(rng, rows, FARE.values()),
        "origin": _codes(rng, rows, _away_from_far(ORIGIN, tables, FROM_FAR)),
        "destination": _codes(rng, rows, _away_from_far(DESTINATION, tables, TO_FAR)),
        "time": _codes(rng, rows, [share / (stays if name == "day_month_swapped" else 1) for name, share in TIME.items()]),
        "distance": _codes(rng, rows, [*DISTANCE.values(), UNMEASURED]),
    }
    codes["origin"][trips.start >= city.blocks] = MISSING
    codes["destination"][trips.goal >= city.blocks] = MISSING
    codes["time"][(codes["time"] == DAY_MONTH_SWAPPED) & month.day_is_month[trips.hour]] = 0  # it would change nothing
    copies, originals, exact = _copies(codes, rng, rows)
    for family in codes.values():
        family[copies] = 0
    flags = np.zeros((len(DEFECTS), rows), np.bool_)
    for family, names in zip(codes.values(), (FARE, ORIGIN, DESTINATION, TIME, DISTANCE), strict=True):
        hit = np.flatnonzero(family)
        for number, name in enumerate(names, 1):
            flags[DEFECTS.index(name), hit[family[hit] == number]] = True
    fare = _spoil_fare(trips.fare, codes["fare"], rng)
    mileage = _spoil_mileage(trips.mileage, codes["distance"], rng)
    metric = (trips.company // len(TRIP_TYPES) == METRIC) & (codes["distance"] == 0) & (mileage > 0)
    flags[DEFECTS.index(METRIC_DEFECT)] = metric
    after, odd_times = _spoil_times(month, trips, codes["time"], rng)
    written = Written(
        object_id=first_id + np.arange(rows),
        hour=trips.hour, after=after, start=trips.start, start_as=_spoil_place(codes["origin"], rng), goal=trips.goal,
        goal_as=_spoil_place(codes["destination"], rng), airport=trips.airport, company=trips.company, payment=trips.payment,
        charges=trips.charges, tip=trips.tip, fare=fare, mileage=mileage, minutes=trips.minutes, expected=trips.expected,
        total=np.where(fare < 0, fare, fare + trips.tip + charge_cents[trips.charges]), flags=flags, odd_times=odd_times,
    )  # fmt: skip
    _repeat(written, copies, originals, exact)
    return written


def _codes(rng: np.random.Generator, rows: int, shares: Iterable[float]) -> NDArray[np.uint8]:
    """0, or the number of the share (from 1) that a row falls into."""
    edges = np.cumsum(list(shares)) / KEPT
    dice = rng.random(rows)
    codes = np.zeros(rows, np.uint8)
    hit = np.flatnonzero(dice < edges[-1])
    codes[hit] = np.searchsorted(edges, dice[hit], side="right") + 1
    return codes


def _away_from_far(shares: dict[str, float], tables: Choices, kind: int) -> list[float]:
    """The shares of an end's defects among trips that do not touch a far airport there; the others all lack the place."""
    far = float(np.count_nonzero(tables.kind == kind)) / SLOTS
    missing, *others = shares.values()
    return [(missing - far * KEPT) / (1 - far), *(share / (1 - far) for share in others)]


def _copies(codes: dict[str, NDArray[np.uint8]], rng: np.random.Generator, rows: int) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Rows that become copies, the sound row before it that each repeats, and whether its OBJECTID is repeated too."""
    dice, which = rng.random(rows), rng.random(rows)
    copies = np.flatnonzero(dice < 1 - KEPT)
    measured = np.where(codes["distance"] == len(DISTANCE) + 1, 0, codes["distance"])
    sound = (codes["fare"] | codes["origin"] | codes["destination"] | codes["time"] | measured) == 0
    sound[copies] = False
    whole = np.flatnonzero(sound)
    before = np.searchsorted(whole, copies)
    copies, before = copies[before > 0], before[before > 0]
    originals = whole[(which[copies] * before).astype(np.int64)]
    return copies.astype(np.int32), originals.astype(np.int32), dice[copies] < COPY["exact_duplicate"]


def _repeat(written: Written, copies: Indices, originals: Indices, exact: NDArray[np.bool_]) -> None:
    """Put the originals' columns into their copies; what was drawn for those is dropped."""
    written.object_id[copies[exact]] = written.object_id[originals[exact]]
    for name, column in vars(written).items():
        if name not in ("object_id", "flags", "odd_times"):
            column[copies] = column[originals]
    written.flags[:, copies] = written.flags[:, originals]
    written.flags[DEFECTS.index("exact_duplicate"), copies[exact]] = True
    written.flags[DEFECTS.index("business_duplicate"), copies[~exact]] = True


def _spoil_fare(fare: Indices, codes: NDArray[np.uint8], rng: np.random.Generator) -> Indices:
    missing, under, absurd, wrong = (np.flatnonzero(codes == code) for code in range(1, 5))
    fare = fare.copy()
    fare[missing] = np.where(rng.random(len(missing)) < 1 / 3, EMPTY, NULL)
    fare[under] = np.where(rng.random(len(under)) < 0.5, 0, rng.integers(1, MIN_CENTS, len(under)))
    fare[absurd] = np.where(rng.random(len(absurd)) < 0.1, ABSURD_CENTS, np.maximum(fare[absurd], MIN_CENTS) * 100)
    fare[wrong] = rng.integers(500, 6001, len(wrong))
    return fare


def _spoil_mileage(mileage: Indices, codes: NDArray[np.uint8], rng: np.random.Generator) -> Indices:
    negative, absurd, unmeasured = (np.flatnonzero(codes == code) for code in range(1, 4))
    mileage = mileage.copy()
    mileage[negative] = -np.maximum(mileage[negative], 1)
    mileage[absurd] = np.where(rng.random(len(absurd)) < 0.5, FAR_TENTHS, rng.integers(2501, 100000, len(absurd)))
    mileage[unmeasured] = NO_MILEAGE
    return mileage


def _spoil_place(codes: NDArray[np.uint8], rng: np.random.Generator) -> Indices:
    """How an end is written, by its code: missing, zero, out of the box, swapped."""
    forms = np.array([PLAIN, NOT_GIVEN, ZERO, OUT, SWAPPED], np.int32)[codes]
    missing, out = np.flatnonzero(codes == MISSING), np.flatnonzero(codes == 3)
    forms[missing] = np.where(rng.random(len(missing)) < 1 / 3, NOT_GIVEN_NULL, NOT_GIVEN)
    forms[out] = OUT + rng.integers(0, NOT_GIVEN - OUT, len(out))
    return forms


def _spoil_times(
    month: Month, trips: Trips, codes: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[Indices, dict[int, tuple[str, str]]]:
    """Hours from pick-up to drop-off, and the texts of those times that are not a plain hour of the month."""
    early = np.flatnonzero(codes == BEFORE_PICKUP)
    after = trips.dropoff_after.copy()
    after[early] = -rng.integers(1, 6, len(early))
    odd = np.flatnonzero((codes > 0) & (codes != BEFORE_PICKUP))
    texts = {}
    for row, dice in zip(odd.tolist(), rng.random((len(odd), 2)).tolist(), strict=True):
        pickup = month.start + timedelta(hours=int(trips.hour[row]))
        later = timedelta(hours=int(after[row]))
        if codes[row] == UNREADABLE:
            texts[row] = GARBAGE[int(dice[0] * len(GARBAGE))], (pickup + later).strftime("%m/%d/%Y %H:%M")
        elif codes[row] == OUTSIDE_MONTH:
            moved = _another_month(pickup, *dice)
            texts[row] = moved.strftime("%m/%d/%Y %H:%M"), (moved + later).strftime("%m/%d/%Y %H:%M")
        else:
            texts[row] = pickup.strftime("%d/%m/%Y %H:%M"), (pickup + later).strftime("%d/%m/%Y %H:%M")
    return after, texts


def _another_month(moment: datetime, kind: float, much: float) -> datetime:
    """The moment 1 to 11 months or (three in ten) 1 to 5 years earlier or later, on the 28th at the latest."""
    steps = 1 + int(much * 11) if kind < 0.7 else 12 * (1 + int(much * 5))
    months = moment.year * 12 + moment.month - 1 + (steps if int(kind * 1000) % 2 else -steps)
    return moment.replace(year=months // 12, month=months % 12 + 1, day=min(moment.day, 28))
