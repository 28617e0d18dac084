"""What a simulated trip costs on average: tariff, distance through the streets, and time lost in traffic.

The meter's formula (the city calls itself `simulated`; the tariff until June 2018 is Washington's, its second step is invented):

    fare = drop_usd + mile_usd * (miles * e1 - 1/8) + hour_usd / 60 * waiting * e2

where e1 and e2 are lognormal with mean one (SIGMA_MILES, SIGMA_WAITING), so that the expected fare is the same with both set
to 1: miles are at least 0.3 and e1 far above 1/8 over 0.3, so that nothing is cut off. It is a function of the published
coordinates, hour and date alone.
"""

from dataclasses import dataclass

import numpy as np

from ml.simulate.taxi_city import DAY, EVENING, MORNING, NIGHT, WEEKEND_HOURS, WORKDAY_HOURS, City, Floats, Indices

KM_PER_MILE = 1.609344
DROP_MILES = 0.125  # what the drop pays for
MIN_MILES = 0.3
SIGMA_MILES = 0.08
SIGMA_WAITING = 0.45
DETOURS = (0.05, 0.05, 0.02)  # of a crossing of the Potomac, the Anacostia, Rock Creek: 1.0 to 1.12 together
AIRPORT_DETOUR = 1.08
AIRPORT_WAITING = 0.45  # there are highways
FREE_MPH, AIRPORT_MPH = 21.0, 33.0  # where nothing is in the way
# Minutes of waiting a mile where both ends are downtown, by the hour; a quarter of that far outside.
WORKDAY_WAITING = (1.5, 1.4, 1.2, 1.2, 1.2, 1.4, 2.2, 3.8, 5.1, 4.8, 3.9, 3.8, 4.1, 4.1, 3.9, 4.3, 5.1, 6.0, 5.8, 4.5, 3.2, 2.5, 2.2, 1.8)
WEEKEND_WAITING = (2.5, 2.5, 2.4, 2.0, 1.4, 1.2, 1.2, 1.4, 1.5, 2.0, 2.4, 2.8, 3.2, 3.3, 3.3, 3.3, 3.3, 3.3, 3.3, 3.2, 2.8, 2.7, 2.7, 2.7)


@dataclass(frozen=True)
class Tariff:
    """Dollars: of the drop, a mile, and an hour of waiting."""

    drop_usd: float
    mile_usd: float
    hour_usd: float


def tariff(year: int, month: int) -> Tariff:
    """The tariff in force in a month."""
    return Tariff(3.25, 2.16, 25.0) if (year, month) < (2018, 7) else Tariff(3.5, 2.4, 27.5)


def trips_by_hour(weekday: int) -> tuple[int, ...]:
    """How many trips start at each hour, in relation to each other; Monday is 0."""
    return WORKDAY_HOURS if weekday < 5 else WEEKEND_HOURS


def waiting_by_hour(weekday: int) -> tuple[float, ...]:
    return WORKDAY_WAITING if weekday < 5 else WEEKEND_WAITING


def time_of_day(weekday: int, hour: int) -> int:
    """Which of the city's popularity tables is in force."""
    if hour >= 21 or hour < 5:
        return NIGHT
    if weekday >= 5:
        return DAY
    return MORNING if hour < 10 else DAY if hour < 16 else EVENING


def route_miles(city: City, start: Indices, goal: Indices, airport: np.ndarray) -> Floats:
    """Miles along streets that run north and east, longer where a river is in between: smooth in both ends' places."""
    grid = np.abs(city.x[start] - city.x[goal]) + np.abs(city.y[start] - city.y[goal])
    detour = np.full(len(start), 1.0)
    for bank, share in zip(city.banks, DETOURS, strict=True):
        detour += share / 2 * (1 - bank[start] * bank[goal])
    return np.asarray(np.maximum(grid * detour * np.where(airport, AIRPORT_DETOUR / KM_PER_MILE, 1 / KM_PER_MILE), MIN_MILES))


def waiting_minutes(city: City, start: Indices, goal: Indices, airport: np.ndarray, miles: Floats, per_mile: Floats) -> Floats:
    """Minutes that the meter counts as waiting, `per_mile` being that of the hour downtown."""
    downtown = 0.25 + 0.375 * (city.centrality[start] + city.centrality[goal])
    return miles * per_mile * downtown * np.where(airport, AIRPORT_WAITING, 1.0)


def fare_usd(rates: Tariff, miles: Floats, waiting: Floats) -> Floats:
    """The meter's fare for miles driven and minutes waited, not rounded."""
    return rates.drop_usd + rates.mile_usd * (miles - DROP_MILES) + rates.hour_usd / 60 * waiting
