"""Invented parcels for the toy project: some 500 rows over 120 days, with every kind of dirt that its rules know."""

import csv
import hashlib
import math
from datetime import datetime, timedelta
from pathlib import Path

HEADER = ["parcel", "sent_at", "depot", "carrier", "weight_g", "priority", "is_late"]
DEPOTS = {"A": 3, "B": 12, "C": 40, "D": 95, "Z": 20}
CARRIERS = ["swift", "steady", "slow"]


def chance(*parts: object) -> float:
    """A number in [0, 1) that only its parts decide."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48


def parcel(number: int) -> list[str]:
    """One clean parcel; far, heavy ones with a slow carrier tend to be late."""
    sent = datetime(2024, 1, 1, 8) + timedelta(days=number % 120, minutes=int(chance("t", number) * 600))
    depot = list(DEPOTS)[int(chance("d", number) * 4)]
    carrier = CARRIERS[int(chance("c", number) * 3)]
    weight = int(100 + chance("w", number) * 9000)
    priority = chance("p", number) < 0.2
    logit = DEPOTS[depot] / 20 + CARRIERS.index(carrier) - weight / 20000 - 2 * priority - 2
    late = chance("l", number) < 1 / (1 + math.exp(-logit))
    yes = ("no", "yes")
    return [f"P{number:05d}", f"{sent:%Y-%m-%d %H:%M}", depot, carrier, str(weight), yes[priority], yes[late]]


def dirty(rows: list[list[str]]) -> list[list[str]]:
    """The same rows with, each a few times: nulls, an unreadable time, an absurd weight, the closed depot, a duplicate."""
    spoiled = [list(row) for row in rows]
    for index, (column, value) in enumerate([("weight_g", "NA"), ("carrier", ""), ("sent_at", "2024-02-30 10:00"), ("weight_g", "990000"),
                                             ("depot", "Z"), ("is_late", "NA"), ("priority", "NA")] * 2):  # fmt: skip
        spoiled[7 + 31 * index][HEADER.index(column)] = value
    return [*spoiled, spoiled[0], spoiled[100]]


def write(folder: Path, first: int = 0, count: int = 500, spoil: bool = True, name: str = "parcels.csv") -> Path:
    """parcels.csv (with one malformed line when spoiled) and depots.csv."""
    rows = [parcel(number) for number in range(first, first + count)]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(dirty(rows) if spoil else rows)
        if spoil:
            file.write("P99999,2024-01-01 10:00,A\n")
    with open(folder / "depots.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["depot", "distance_km"], *([depot, str(km)] for depot, km in DEPOTS.items())])
    return folder / name
