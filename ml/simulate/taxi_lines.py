"""Rows to lines of text. Every text that can occur is made once; a column is then a choice of texts, and lines join them.

Adjacent columns of few values share one table of texts, which is what makes it fast.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.simulate.taxi_city import AIRPORT_ZIP, ZIPS, City, Indices
from ml.simulate.taxi_dirt import EMPTY, FAR_TENTHS, NO_MILEAGE, NOT_GIVEN, Written
from ml.simulate.taxi_trips import EXTRAS, PAYMENTS, PROVIDERS, SURCHARGES, TOLLS, TRIP_TYPES, WHOLE, Month

HEADER = (
    "OBJECTID|TRIPTYPE|PROVIDERNAME|FAREAMOUNT|GRATUITYAMOUNT|SURCHARGEAMOUNT|EXTRAFAREAMOUNT|TOLLAMOUNT|TOTALAMOUNT|PAYMENTTYPE|"
    "ORIGINCITY|ORIGINSTATE|ORIGINZIP|DESTINATIONCITY|DESTINATIONSTATE|DESTINATIONZIP|MILEAGE|DURATION|"
    "ORIGIN_BLOCK_LATITUDE|ORIGIN_BLOCK_LONGITUDE|ORIGIN_BLOCKNAME|DESTINATION_BLOCK_LATITUDE|DESTINATION_BLOCK_LONGITUDE|"
    "DESTINATION_BLOCKNAME|AIRPORT|ORIGINDATETIME_TR|DESTINATIONDATETIME_TR"
)
CENTS = 20000  # amounts below 200.00 are ready; the few above are spelled one by one, and so with the others
TENTHS = 1000
MINUTES = 400
OFFSETS = range(-5, 5)  # hours from pick-up to drop-off
NO_ZIP = AIRPORT_ZIP + 1


@dataclass(frozen=True)
class Texts:
    """The tables of texts that do not depend on the month."""

    money: pa.StringArray  # cents, then NULL and nothing
    company: pa.StringArray  # TRIPTYPE|PROVIDERNAME
    charges: pa.StringArray  # SURCHARGEAMOUNT|EXTRAFAREAMOUNT|TOLLAMOUNT
    ends: pa.StringArray  # PAYMENTTYPE to DESTINATIONZIP
    mileage: pa.StringArray  # tenths from -TENTHS, whole numbers, NULL
    minutes: pa.StringArray
    places: pa.StringArray  # latitude|longitude|name of every place in every form, then those not given


def build_texts(city: City) -> Texts:
    """The tables, the same at every call."""
    regions = [*(f"Washington|DC|{code}" for code in ZIPS), "Arlington|VA|22202", "NULL|NULL|00000"]
    return Texts(
        money=pa.array([*map(money, range(CENTS)), "NULL", ""]),
        company=pa.array([f"{kind}|{name}" for name in PROVIDERS for kind in TRIP_TYPES]),
        charges=pa.array([f"{money(a)}|{money(b)}|{money(c)}" for a in SURCHARGES for b in EXTRAS for c in TOLLS]),
        ends=pa.array([f"{paid}|{start}|{goal}" for paid in PAYMENTS for start in regions for goal in regions]),
        mileage=pa.array([*map(tenths, range(-TENTHS, TENTHS)), *map(str, range(TENTHS // 10)), "NULL"]),
        minutes=pa.array([str(minute) for minute in range(MINUTES)]),
        places=pa.array([*_places(city), "||", "NULL|NULL|NULL"]),
    )


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def tenths(distance: int) -> str:
    return f"{'-' if distance < 0 else ''}{abs(distance) // 10}.{abs(distance) % 10}"


def _places(city: City) -> list[str]:
    """Plain, swapped, zero, and four ways out of the box, each for all places."""
    spots = list(zip(city.latitude, city.longitude, city.name, strict=True))
    return [
        *(f"{latitude}|{longitude}|{name}" for latitude, longitude, name in spots),
        *(f"{longitude}|{latitude}|{name}" for latitude, longitude, name in spots),
        *(f"0|0|{name}" for _, _, name in spots),
        *(f"{float(latitude) + 1.3:.6f}|{longitude}|{name}" for latitude, longitude, name in spots),
        *(f"401.08|{longitude}|{name}" for _, longitude, name in spots),
        *(f"{latitude}|{float(longitude) - 2.6:.6f}|{name}" for latitude, longitude, name in spots),
        *(f"{float(latitude) - 4.1:.6f}|{float(longitude) + 3.5:.6f}|{name}" for latitude, longitude, name in spots),
    ]


def month_times(month: Month) -> pa.StringArray:
    """AIRPORT|ORIGINDATETIME_TR|DESTINATIONDATETIME_TR and the line's end, for (airport, hour, drop-off's offset)."""
    hours, first = len(month.time_of_day), OFFSETS[0]
    all_hours = range(first, hours + OFFSETS[-1])
    texts = pa.array([(month.start + timedelta(hours=hour)).strftime("%m/%d/%Y %H:00") for hour in all_hours])
    flag, hour, offset = (found.ravel() for found in np.meshgrid([0, 1], np.arange(hours), np.array(OFFSETS), indexing="ij"))
    pickup, dropoff = texts.take(pa.array(hour - first)), texts.take(pa.array(hour + offset - first))
    flags = pa.array(["N", "Y"]).take(pa.array(flag))
    return pc.binary_join_element_wise(flags, pickup, pc.binary_join_element_wise(dropoff, "\n", ""), "|")


def lines(city: City, texts: Texts, times: pa.StringArray, rows: Written) -> memoryview:
    """The bytes of the rows' lines."""
    hours = len(times) // (2 * len(OFFSETS))
    when = (rows.airport * np.int32(hours) + rows.hour) * np.int32(len(OFFSETS)) + (rows.after - OFFSETS[0])
    odd = {row: f"{'NY'[int(rows.airport[row])]}|{pickup}|{dropoff}\n" for row, (pickup, dropoff) in rows.odd_times.items()}
    start_zip, goal_zip = _zips(city, rows.start, rows.start_as), _zips(city, rows.goal, rows.goal_as)
    joined = pc.binary_join_element_wise(
        pa.array(rows.object_id).cast(pa.string()),
        _take(texts.company, rows.company),
        _money(texts, rows.fare),
        _money(texts, rows.tip),
        _take(texts.charges, rows.charges),
        _money(texts, rows.total),
        _take(texts.ends, (rows.payment * np.int32(NO_ZIP + 1) + start_zip) * np.int32(NO_ZIP + 1) + goal_zip),
        _mileage(texts, rows),
        _take(texts.minutes, np.minimum(rows.minutes, MINUTES - 1)),
        _take(texts.places, _place(city, rows.start, rows.start_as)),
        _take(texts.places, _place(city, rows.goal, rows.goal_as)),
        _take(times, when, odd),
        "|",
    )
    _, offsets, data = joined.buffers()
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[int(ends[joined.offset]) : int(ends[joined.offset + len(joined)])]


def _take(table: pa.StringArray, index: Indices, odd: dict[int, str] | None = None) -> pa.StringArray:
    """Texts of a table, `odd` rows excepted, whose text is given."""
    if odd:
        index[list(odd)] = np.arange(len(table), len(table) + len(odd))
        table = pa.concat_arrays([table, pa.array(list(odd.values()))])
    return table.take(pa.array(index))


def _money(texts: Texts, cents: Indices) -> pa.StringArray:
    index = np.where(cents < 0, np.where(cents == EMPTY, CENTS + 1, CENTS), cents)
    return _take(texts.money, index, {row: money(int(cents[row])) for row in np.flatnonzero(cents >= CENTS).tolist()})


def _mileage(texts: Texts, rows: Written) -> pa.StringArray:
    whole = (rows.company // len(TRIP_TYPES) == WHOLE) & (rows.mileage >= 0) & (rows.mileage % 10 == 0)
    index = np.where(whole, 2 * TENTHS + rows.mileage // 10, rows.mileage + TENTHS)
    index[rows.mileage == NO_MILEAGE] = len(texts.mileage) - 1
    odd = np.flatnonzero((rows.mileage >= TENTHS) | (rows.mileage < -TENTHS) & (rows.mileage != NO_MILEAGE))
    far = str(FAR_TENTHS // 10)
    return _take(
        texts.mileage, index, {row: far if rows.mileage[row] == FAR_TENTHS else tenths(int(rows.mileage[row])) for row in odd.tolist()}
    )


def _place(city: City, place: Indices, form: Indices) -> Indices:
    """Into `Texts.places`: the forms after OUT's ways have one text for all places."""
    given = form < NOT_GIVEN
    count = np.int32(len(city.x))
    return np.where(given, form * count + place, NOT_GIVEN * count + (form - NOT_GIVEN))


def _zips(city: City, place: Indices, form: Indices) -> Indices:
    return np.where(form < NOT_GIVEN, city.zip[place], np.int32(NO_ZIP))
