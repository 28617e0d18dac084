"""The simulated city: street blocks, where people board and alight at which time of day, and the hours of a week.

It has Washington's box, rivers, airports and zip codes (facts), and streets of its own. Nothing here depends on the seed.
Tables of choices are made of whole numbers, so that they are the same on every machine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]

BOX = ((38.81138, 38.994909), (-77.113633, -76.910012))  # degrees: latitude, longitude
MIDDLE = 38.9031595  # degrees: the latitude at which a degree of longitude is measured
KM_PER_DEGREE = 6371.0088 * np.pi / 180  # of latitude, on the mean sphere
DOWNTOWN = (38.9007, -77.0365)
CAPITOL = (38.8899, -77.0091)  # the streets are counted from here
AIRPORT = (38.8512, -77.0402)  # DCA
FAR_AIRPORTS = ((38.9531, -77.4565), (39.1774, -76.6684))  # Dulles, BWI: outside of the box
SLOTS = 1 << 16  # a choice is one draw of 16 bits
ZONE_SLOTS = 1024
ZIPS = {
    "20001": (38.912, -77.017),
    "20002": (38.905, -76.985),
    "20003": (38.882, -76.990),
    "20004": (38.895, -77.028),
    "20005": (38.904, -77.031),
    "20006": (38.898, -77.041),
    "20007": (38.915, -77.075),
    "20008": (38.936, -77.060),
    "20009": (38.919, -77.037),
    "20010": (38.932, -77.030),
    "20011": (38.952, -77.022),
    "20012": (38.976, -77.029),
    "20015": (38.966, -77.064),
    "20016": (38.938, -77.090),
    "20017": (38.937, -76.994),
    "20018": (38.925, -76.973),
    "20019": (38.891, -76.941),
    "20020": (38.861, -76.974),
    "20024": (38.876, -77.017),
    "20032": (38.834, -77.003),
    "20036": (38.907, -77.042),
    "20037": (38.901, -77.050),
}  # fmt: skip  (Washington's zip codes, and about where they are)
AIRPORT_ZIP = len(ZIPS)  # 22202, Arlington; one more means that the place is not known
NIGHTLIFE = ((38.9215, -77.0425), (38.9170, -77.0300), (38.9050, -77.0645), (38.9000, -76.9900), (38.8975, -77.0220))
LETTERS = "ACDEFGHIKLMNOPQRSTUVW"
STREETS = tuple(letter + end for end in ("", "ALTON", "ERWOOD", "INGTON", "OSHFIELD") for letter in LETTERS)
MORNING, DAY, EVENING, NIGHT = range(4)
# Shares of homes, offices and nightlife among the ends of trips, by the time of day: (where they start, where they go).
ENDS = {
    MORNING: ((0.62, 0.36, 0.02), (0.15, 0.83, 0.02)),
    DAY: ((0.25, 0.70, 0.05), (0.27, 0.68, 0.05)),
    EVENING: ((0.16, 0.74, 0.10), (0.56, 0.28, 0.16)),
    NIGHT: ((0.18, 0.30, 0.52), (0.66, 0.18, 0.16)),
}
DECAY_KM = 10.0  # a destination that much farther away is requested e times less often
# Trips by the hour of the day, in relation to each other.
WORKDAY_HOURS = (22, 13, 8, 5, 6, 14, 32, 56, 76, 74, 64, 62, 65, 64, 63, 66, 70, 80, 85, 76, 64, 58, 50, 36)
WEEKEND_HOURS = (62, 56, 46, 27, 14, 9, 12, 17, 27, 40, 50, 56, 60, 60, 58, 58, 60, 66, 70, 66, 60, 60, 64, 66)


@dataclass(frozen=True)
class City:
    """Places, one element each: the street blocks (the airport's at the end), then the far airports, which have no block.

    `x`, `y` are kilometres east and north of downtown; `banks` (3, places) say on which side of the Potomac, the Anacostia
    and Rock Creek a place is, from -1 to 1 and 0 in mid-water; `centrality` is 1 downtown and falls to 0 in kilometres.
    `origins` (4, SLOTS) are places by the time of day; `zones` (4, zones, ZONE_SLOTS) are the zones that are requested from a
    zone; `blocks_of` (zones, 256) are places in a zone. A place's chance is its share of the slots.
    """

    latitude: tuple[str, ...]
    longitude: tuple[str, ...]
    name: tuple[str, ...]
    zip: Indices
    x: Floats
    y: Floats
    banks: Floats
    centrality: Floats
    at_airport: NDArray[np.bool_]
    blocks: int
    zone: Indices
    origins: NDArray[np.uint16]
    zones: NDArray[np.uint16]
    blocks_of: NDArray[np.uint16]


def choices(weights: Floats, slots: int) -> NDArray[np.uint16]:
    """A table of `slots` places in which each occurs about as often as its weight says; a draw is a uniform index into it."""
    whole = np.cumsum(np.rint(weights / weights.max() * 1e9).astype(np.int64))
    found = np.searchsorted(whole, (2 * np.arange(slots) + 1) * (whole[-1] / (2 * slots)), side="right")
    return np.asarray(found, np.uint16)


def kilometres(latitude: Floats, longitude: Floats) -> tuple[Floats, Floats]:
    """East and north of downtown, on a plane that touches the sphere in the middle of the box."""
    east = (longitude - DOWNTOWN[1]) * KM_PER_DEGREE * np.cos(np.radians(MIDDLE))
    return east, (latitude - DOWNTOWN[0]) * KM_PER_DEGREE


def _banks(x: Floats, y: Floats) -> Floats:
    """The rivers are straight lines, a Potomac that turns south excepted; kilometres to a side of -1 to 1 over some 600 m."""
    potomac = np.maximum(0.740 * (x + 7.05) + 0.672 * (y - 3.70), x - 1.0)
    anacostia = 0.731 * (x - 1.86) - 0.683 * (y + 4.75)
    return np.stack([np.tanh(potomac / 0.6), np.tanh(anacostia / 0.6), np.tanh((x + 1.4) / 0.4)])


def _streets() -> tuple[Floats, Floats, list[str]]:
    """Some 6,000 blocks of a lattice counted from the Capitol: all of them downtown, half at the edge."""
    rng = np.random.Generator(np.random.Philox(key=[2015, 2019]))
    column, row = (found.ravel() for found in np.meshgrid(np.arange(-75, 72), np.arange(-80, 96)))
    noise = rng.random((4, len(row)))
    latitude = np.round(CAPITOL[0] + (row + 0.3 * (noise[0] - 0.5)) * 0.125 / KM_PER_DEGREE, 6)
    longitude = np.round(CAPITOL[1] + (column + 0.3 * (noise[1] - 0.5)) * 0.0015, 6)
    x, y = kilometres(latitude, longitude)
    away = np.hypot(x, y)
    potomac, _, _ = _banks(x, y)
    inside = (BOX[0][0] < latitude) & (latitude < BOX[0][1]) & (BOX[1][0] < longitude) & (longitude < BOX[1][1])
    # The District is a square that stands on its corner, without the part across the Potomac.
    diamond = np.abs(x + 0.3) / 9.6 + np.abs(y + 0.7) / 11.3 < 1
    near_airport = (latitude - AIRPORT[0]) ** 2 + (longitude - AIRPORT[1]) ** 2 < 0.016**2
    kept = inside & diamond & (potomac > 0.2) & ~near_airport & (noise[2] < np.clip(1.25 - 0.11 * away, 0.52, 1))
    names = []
    for east, north, turn in zip(column[kept].tolist(), row[kept].tolist(), noise[3][kept].tolist(), strict=True):
        quadrant = ("N" if north >= 0 else "S") + ("E" if east >= 0 else "W")
        number, street = (east, STREETS[abs(north)]) if turn < 0.5 else (north, _ordinal(abs(east) + 1))
        names.append(f"{abs(number) * 100 or 1} - {abs(number) * 100 + 99} BLOCK OF {street} STREET {quadrant}")
    return latitude[kept], longitude[kept], names


def _ordinal(number: int) -> str:
    ends = {1: "ST", 2: "ND", 3: "RD"}
    return f"{number}{'TH' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'TH')}"


def build_city() -> City:
    """The city, the same at every call."""
    latitude, longitude, names = _streets()
    streets = len(latitude)
    ranks = [(AIRPORT[0] + 0.0009 * step, AIRPORT[1] + 0.0004 * (step % 2)) for step in range(-3, 4)]
    latitude = np.round(np.concatenate([latitude, [place[0] for place in ranks + list(FAR_AIRPORTS)]]), 6)
    longitude = np.round(np.concatenate([longitude, [place[1] for place in ranks + list(FAR_AIRPORTS)]]), 6)
    names += [f"{100 * step} - {100 * step + 99} BLOCK OF AVIATION CIRCLE" for step in range(1, 8)] + ["", ""]
    x, y = kilometres(latitude, longitude)
    away = np.hypot(x, y)
    at_airport = np.arange(len(x)) >= streets
    centres = np.array([kilometres(np.array([place[0]]), np.array([place[1]])) for place in ZIPS.values()])[:, :, 0]
    nearest = np.argmin((x[:, None] - centres[:, 0]) ** 2 + (y[:, None] - centres[:, 1]) ** 2, axis=1)
    zone = _zones(x, y, streets)
    origins, zones, blocks_of = _popularity(x[:streets], y[:streets], zone[:streets])
    return City(
        latitude=tuple(f"{value:.6f}".rstrip("0") for value in latitude),
        longitude=tuple(f"{value:.6f}".rstrip("0") for value in longitude),
        name=tuple(names),
        zip=np.where(at_airport, AIRPORT_ZIP, nearest).astype(np.int32),
        x=x, y=y, banks=_banks(x, y), centrality=1 / (1 + (away / 2.2) ** 4), at_airport=at_airport,
        blocks=streets + len(ranks), zone=zone, origins=origins, zones=zones, blocks_of=blocks_of,
    )  # fmt: skip


def _zones(x: Floats, y: Floats, streets: int) -> Indices:
    """Squares of 900 metres, numbered without gaps; airports are in zone 0, from where no ordinary trip starts or ends."""
    square = np.floor((x + 30) / 0.9).astype(np.int64) * 1000 + np.floor((y + 30) / 0.9).astype(np.int64)
    zone = np.unique(square[:streets], return_inverse=True)[1]
    return np.concatenate([zone, np.zeros(len(x) - streets)]).astype(np.int32)


def _popularity(x: Floats, y: Floats, zone: Indices) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]]:
    """The three tables of choices of `City`, of homes, offices and nightlife."""
    away = np.hypot(x, y)
    spots = [kilometres(np.array([place[0]]), np.array([place[1]])) for place in NIGHTLIFE]
    homes = np.exp(-away / 7.5)
    offices = np.exp(-((away / 1.6) ** 2)) + 0.02 * np.exp(-away / 3.0)
    night = np.sum([np.exp(-((x - east) ** 2 + (y - north) ** 2) / 0.3) for east, north in spots], axis=0) + 0.001
    kinds = np.stack([homes / homes.sum(), offices / offices.sum(), night / night.sum()])
    zones = int(zone.max()) + 1
    count = np.bincount(zone, minlength=zones)
    middle_x, middle_y = np.bincount(zone, x, zones) / count, np.bincount(zone, y, zones) / count
    decay = np.exp(-(np.abs(middle_x[:, None] - middle_x) + np.abs(middle_y[:, None] - middle_y)) / DECAY_KM)
    origins, sought = [], []
    for starts, goals in ENDS.values():
        origins.append(choices(np.array(starts) @ kinds, SLOTS))
        of_zone = np.bincount(zone, np.array(goals) @ kinds, zones)
        sought.append([choices(of_zone * decay[start], ZONE_SLOTS) for start in range(zones)])
    everything = kinds.sum(axis=0)
    within = [choices(np.where(zone == number, everything, 0), 256) for number in range(zones)]
    return np.stack(origins), np.array(sought), np.stack(within)
