"""Sound trips of a block of rows: provider, places, hour and charges of each. `taxi_dirt` adds the defects."""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ml.simulate import taxi_fare
from ml.simulate.taxi_city import DAY, SLOTS, ZONE_SLOTS, City, Floats, Indices, choices
from ml.simulate.taxi_fare import AIRPORT_MPH, FREE_MPH, SIGMA_MILES, SIGMA_WAITING, Tariff

# Companies and their shares of the trips; names are invented.
PROVIDERS = {
    "Capital Cab": 0.19, "Potomac Taxi": 0.15, "Federal Hack": 0.12, "Anacostia Cab": 0.10, "Kilo Cab": 0.07, "Northeast Star": 0.08,
    "Blue Heron": 0.07, "Meridian Hill Taxi": 0.06, "Riverside": 0.05, "Union Square Cab": 0.05, "Swift & Son": 0.03, "Old Town": 0.03,
}  # fmt: skip
METRIC = 4  # the provider whose MILEAGE is in kilometres
WHOLE = 2  # the provider whose meter shows whole miles
TRIP_TYPES = {"1": 0.965, "2": 0.015, "3": 0.01, "4": 0.01}  # the README's codes: ordinary, then grant programs
PAYMENTS = {"1": 0.46, "2": 0.52, "4": 0.02}  # credit, cash, other
CREDIT = 0
# Of SLOTS: an ordinary trip, from and to the airport in the box, from and to those outside.
FROM_AIRPORT, TO_AIRPORT, FROM_FAR, TO_FAR = 1, 2, 3, 4
AIRPORT_SHARES = (0.0, 0.027, 0.024, 0.0037, 0.0046)
SURCHARGES, EXTRAS, TOLLS = (25, 0, 100), (0, 100, 200), (0, 250, 475)  # cents
CHARGE_SHARES = (0.74, 0.18, 0.08)
NOISE_DIGITS = 1e6  # the truth is rounded to millionths of a dollar: the last bits of a logarithm differ between machines


@dataclass(frozen=True)
class Month:
    """A file's month: its hours as dates, and what holds in each of them. `slots` (SLOTS,) are hours by their popularity."""

    year: int
    number: int
    start: datetime
    slots: NDArray[np.uint16]
    time_of_day: Indices
    waiting: Floats
    tariff: Tariff
    day_is_month: NDArray[np.bool_]


@dataclass(frozen=True)
class Choices:
    """Tables of choices that do not depend on the month: indices by their shares of SLOTS."""

    kind: NDArray[np.uint16]
    company: NDArray[np.uint16]  # provider * trip types + trip type
    payment: NDArray[np.uint16]
    charges: NDArray[np.uint16]  # (surcharge * extras + extra) * tolls


@dataclass(frozen=True)
class Trips:
    """Sound trips, one element a row. Places are indices of the city, hours count from the month's first, money is in cents."""

    hour: Indices
    dropoff_after: Indices  # hours
    start: Indices
    goal: Indices
    airport: NDArray[np.bool_]
    company: Indices
    payment: Indices
    charges: Indices
    fare: Indices
    tip: Indices
    expected: Floats
    mileage: Indices  # tenths of a mile, or of a kilometre
    minutes: Indices


def month_of(year: int, number: int) -> Month:
    """What a month's hours are like."""
    start, days = datetime(year, number, 1), calendar.monthrange(year, number)[1]
    hours = [start + timedelta(hours=hour) for hour in range(24 * days)]
    weights = np.array([taxi_fare.trips_by_hour(at.weekday())[at.hour] for at in hours], float)
    return Month(
        year, number, start,
        slots=choices(weights, SLOTS),
        time_of_day=np.array([taxi_fare.time_of_day(at.weekday(), at.hour) for at in hours], np.int32),
        waiting=np.array([taxi_fare.waiting_by_hour(at.weekday())[at.hour] for at in hours]),
        tariff=taxi_fare.tariff(year, number),
        day_is_month=np.array([at.day == at.month for at in hours]),
    )  # fmt: skip


def build_choices() -> Choices:
    """The tables of choices, the same at every call."""
    shares = np.array(AIRPORT_SHARES)
    shares[0] = 1 - shares.sum()
    companies = np.outer(list(PROVIDERS.values()), list(TRIP_TYPES.values())).ravel()
    charges = np.outer(CHARGE_SHARES, CHARGE_SHARES).ravel()
    return Choices(
        kind=choices(shares, SLOTS),
        company=choices(companies, SLOTS),
        payment=choices(np.array(list(PAYMENTS.values())), SLOTS),
        charges=(choices(charges, SLOTS) * len(TOLLS)).astype(np.uint16),
    )


def charge_cents() -> Indices:
    """Surcharge, extra and toll together, by `Trips.charges`."""
    return np.add.outer(np.add.outer(SURCHARGES, EXTRAS), TOLLS).ravel().astype(np.int32)


def draw(city: City, tables: Choices, month: Month, rng: np.random.Generator, rows: int) -> Trips:
    """Sound trips from one stream of random numbers."""
    dice = rng.integers(0, SLOTS, (10, rows), np.uint16)
    hour = month.slots[dice[0]].astype(np.int32)
    when = month.time_of_day[hour]
    start = city.origins[when, dice[1]].astype(np.int32)
    zone = city.zones[when, city.zone[start], dice[2] % ZONE_SLOTS]
    goal = city.blocks_of[zone, dice[3] >> 8].astype(np.int32)
    kind = tables.kind[dice[4]]
    _to_and_from_airports(city, kind, dice[2], dice[3], start, goal)
    airport = kind > 0
    miles = taxi_fare.route_miles(city, start, goal, airport)
    waiting = taxi_fare.waiting_minutes(city, start, goal, airport, miles, month.waiting[hour])
    expected = np.rint(taxi_fare.fare_usd(month.tariff, miles, waiting) * NOISE_DIGITS) / NOISE_DIGITS
    miles *= _mean_one(rng, SIGMA_MILES, rows)
    waiting *= _mean_one(rng, SIGMA_WAITING, rows)
    fare = np.rint(taxi_fare.fare_usd(month.tariff, miles, waiting) * 100).astype(np.int32)
    minutes = np.maximum(miles * np.where(airport, 60 / AIRPORT_MPH, 60 / FREE_MPH) + waiting, 1.0)
    company = tables.company[dice[5]].astype(np.int32)
    provider = company // len(TRIP_TYPES)
    shown = np.rint(miles * np.where(provider == METRIC, 10 * taxi_fare.KM_PER_MILE, 10.0))
    payment = tables.payment[dice[6]].astype(np.int32)
    # Times are published to the nearest hour: the trip began within half an hour of the one that is written.
    began = dice[7] * (60 / SLOTS) - 30
    return Trips(
        hour=hour,
        dropoff_after=np.clip((began + minutes + 30) // 60, 0, 4).astype(np.int32),
        start=start,
        goal=goal,
        airport=airport,
        company=company,
        payment=payment,
        charges=tables.charges[dice[8]] + np.where(kind >= FROM_FAR, 1 + dice[9] % (len(TOLLS) - 1), 0).astype(np.int32),
        fare=fare,
        tip=np.where(payment == CREDIT, np.rint(fare * (0.08 + dice[9] * (0.18 / SLOTS))), 0).astype(np.int32),
        expected=expected,
        mileage=np.where(provider == WHOLE, np.rint(shown / 10) * 10, shown).astype(np.int32),
        minutes=np.rint(minutes).astype(np.int32),
    )


def _to_and_from_airports(
    city: City, kind: NDArray[np.uint16], stand: NDArray[np.uint16], other: NDArray[np.uint16], start: Indices, goal: Indices
) -> None:
    """Set an end of some trips at an airport; the other end of one that starts there is where people start by day."""
    ranks = int(np.count_nonzero(city.at_airport[: city.blocks]))
    far = len(city.x) - city.blocks
    for code, ends, first, count in (
        (FROM_AIRPORT, start, city.blocks - ranks, ranks), (TO_AIRPORT, goal, city.blocks - ranks, ranks),
        (FROM_FAR, start, city.blocks, far), (TO_FAR, goal, city.blocks, far),
    ):  # fmt: skip
        rows = np.flatnonzero(kind == code)
        if ends is start:
            goal[rows] = city.origins[DAY, other[rows]]
        ends[rows] = first + stand[rows] % count


def _mean_one(rng: np.random.Generator, sigma: float, rows: int) -> Floats:
    """Lognormal factors with mean one."""
    return np.exp(sigma * rng.standard_normal(rows) - sigma * sigma / 2)
