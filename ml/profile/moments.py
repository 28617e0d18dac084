"""How a text column writes dates and times: the shape of a text (its digits as 9) → a strptime format."""

import re
from dataclasses import dataclass
from functools import partial

YEAR_FIRST = re.compile(r"9999(?P<mark>[-/.])99?(?P=mark)99?(?P<rest>.*)")
YEAR_LAST = re.compile(r"99?(?P<mark>[-/.])99?(?P=mark)(?P<year>9999|99)(?P<rest>.*)")
TIME = re.compile(r"(?P<gap> |T)99?:99(?P<seconds>:99)?(?P<fraction>\.9+)?(?P<half> ?[AaPp][Mm])?(?P<zone> ?UTC|Z| ?[+-]99:?99)?")


@dataclass(frozen=True)
class Format:
    """One way of writing a moment. `order`: of day and month, where the year comes last."""

    name: str
    parse: str
    shapes: tuple[str, ...]
    timed: bool
    fraction: bool
    zone: bool
    order: str | None
    only_if: str

    def cleaned(self, column: str) -> str:
        """The SQL of the part that `parse` reads: fractions may have any number of digits, and zones are not applied."""
        if self.zone:
            column = f"regexp_replace({column}, '( ?UTC|Z| ?[+-][0-9][0-9]:?[0-9][0-9])$', '')"
        return f"regexp_replace({column}, '(:[0-9][0-9])[.][0-9]+', '\\1')" if self.fraction else column


def formats(shapes: list[tuple[str, int, int]]) -> list[Format]:
    """The formats of shapes, each with how many of its rows have a first and a second part above 12.

    Day and month are distinguished over all rows of a way of writing: `day first`, `month first`, `both`, `unclear`.
    """
    families: dict[tuple[str, str, str], list[tuple[str, int, int]]] = {}
    for shape, first_above, second_above in shapes:
        form = _form(shape)
        if form:
            families.setdefault(form, []).append((shape, first_above, second_above))
    found: list[Format] = []
    for (date, time, zone), members in families.items():
        names = tuple(shape for shape, _, _ in members)
        build = partial(_format, time=time, zone=zone, shapes=names)
        if "%?" not in date:
            found.append(build(date))
            continue
        first, second = sum(member[1] for member in members), sum(member[2] for member in members)
        day_first, month_first = date.replace("%?", "%d", 1).replace("%?", "%m"), date.replace("%?", "%m", 1).replace("%?", "%d")
        if first and second:
            found.append(build(day_first, order="both", only_if="> 12"))
            found.append(build(month_first, order="both", only_if="<= 12"))
        elif first:
            found.append(build(day_first, order="day first"))
        else:
            found.append(build(month_first, order="month first" if second else "unclear"))
    return found


def _format(date: str, time: str, zone: str, shapes: tuple[str, ...], order: str | None = None, only_if: str = "") -> Format:
    parse = (date + time).replace(".%f", "")
    return Format(date + time + zone, parse, shapes, bool(time), ".%f" in time, bool(zone), order, only_if)


def _form(shape: str) -> tuple[str, str, str] | None:
    """The format of the date, of the time, and the zone; `%?` is a day or a month. None where the shape is not that of a moment."""
    if shape == "99999999":
        return "%Y%m%d", "", ""
    year_first, year_last = YEAR_FIRST.fullmatch(shape), YEAR_LAST.fullmatch(shape)
    if year_first:
        mark, rest = year_first["mark"], year_first["rest"]
        date = f"%Y{mark}%m{mark}%d"
    elif year_last:
        mark, rest = year_last["mark"], year_last["rest"]
        date = f"%?{mark}%?{mark}{'%Y' if year_last['year'] == '9999' else '%y'}"
    else:
        return None
    if not rest:
        return date, "", ""
    time = TIME.fullmatch(rest)
    if time is None:
        return None
    half = f"{' ' if time['half'].startswith(' ') else ''}%p" if time["half"] else ""
    clock = f"{time['gap']}{'%I' if half else '%H'}:%M{':%S' if time['seconds'] else ''}{'.%f' if time['fraction'] else ''}{half}"
    zone = time["zone"] or ""
    return date, clock, zone if "9" not in zone else " %z" if zone.startswith(" ") else "%z"
