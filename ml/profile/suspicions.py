"""What looks wrong in a profiled column, each as a sentence that a person can judge."""

from dataclasses import dataclass

from ml.profile.record import ColumnProfile, Suspicion

NINES = [10**digits - 1 for digits in range(2, 9)]
PLACEHOLDERS = (0, -1, -9, *NINES, *(-nine for nine in NINES))
DAYS = ("1900-01-01", "1970-01-01", "9999-12-31")
NEARLY_UNIQUE = 0.99
MOSTLY, WHOLE = 0.8, 0.99


@dataclass(frozen=True)
class Facts:
    """What the sentences need besides the column's record; `others` are the rows that are not null.

    `sentinels`: number, its rows, the most rows of its neighbours, how many numbers there are; `days`: day, its rows.
    """

    others: int
    parses: dict[str, int]
    example: str | None
    padded: int
    padded_example: str | None
    zeroed: int
    zeroed_example: str | None
    capitals: tuple[int, list[str]]
    sentinels: list[tuple[float, int, int, int]]
    broken_example: str | None
    days: list[tuple[str, int]]


def of(record: ColumnProfile, facts: Facts) -> tuple[Suspicion, ...]:
    """The suspicions of a column, the most serious first: kind and sentence."""
    found = [*_misfits(record, facts), *_written(record), *_nulls(record), *_placeholders(record, facts), *_spelling(record, facts)]
    return tuple(Suspicion(kind, says) for kind, says in [*found, *_sameness(record, facts)])


def _misfits(record: ColumnProfile, facts: Facts) -> list[tuple[str, str]]:
    misfits, kind = record.misfits, record.type
    if misfits.rows:
        return [("mixture", f"{_share(misfits.rows, facts.others)} hold no {kind}: {', '.join(map(_quoted, misfits.examples))}")]
    best, count = max(facts.parses.items(), key=lambda item: item[1])
    if kind == "text" and facts.others and count >= MOSTLY * facts.others:
        return [("mixture", f"text, though all but {_share(facts.others - count, facts.others)} would parse as {best}")]
    if kind == "double" and facts.others > facts.parses["integer"] >= WHOLE * facts.others:
        rest = facts.others - facts.parses["integer"]
        return [("mixture", f"whole numbers but for {_share(rest, facts.others)}: {_quoted(facts.broken_example)}")]
    return []


def _written(record: ColumnProfile) -> list[tuple[str, str]]:
    found = []
    names = {entry.format: entry.rows for entry in record.formats}
    if len(names) > 1 and record.type in ("date", "timestamp", "text"):
        listed = ", ".join(f"{name} ({rows:,})" for name, rows in sorted(names.items(), key=lambda item: -item[1])[:4])
        found.append(("formats", f"{len(names)} ways of writing a moment: {listed}"))
    orders = {entry.order for entry in record.formats}
    if "both" in orders:
        found.append(("order", "some rows can only be day before month, others only month before day"))
    if "unclear" in orders:
        found.append(("order", "day and month cannot be distinguished: neither part is ever above 12"))
    return found


def _nulls(record: ColumnProfile) -> list[tuple[str, str]]:
    spellings = record.null_spellings
    if len(spellings) < 2:
        return []
    listed = ", ".join(f"{_quoted(entry.text)} ({entry.rows:,})" for entry in spellings[:5])
    return [("nulls", f"{len(spellings)} spellings of null: {listed}")]


def _placeholders(record: ColumnProfile, facts: Facts) -> list[tuple[str, str]]:
    numbers, moments = record.numbers, record.moments
    ends = [("first", moments.min), ("last", moments.max)] if moments else []
    found = [
        ("sentinel", f"{day} in {_share(count, facts.others)} is the {end} day: a placeholder for missing?")
        for day, count in facts.days
        for end, edge in ends
        if edge.startswith(day) and record.distinct > 1
    ]
    if not numbers:
        return found
    spread = numbers["p75"] - numbers["p25"]
    rows = facts.parses["double"]
    far = set()
    for number, count, near, distinct in facts.sentinels:
        outside = spread > 0 and not numbers["p25"] - 10 * spread <= number <= numbers["p75"] + 10 * spread
        if outside and count > 1:
            far.add(number)
            found.append(("sentinel", f"{number:g} in {_share(count, rows)} is far outside the rest: a placeholder for missing?"))
        elif distinct >= 20 and count >= 10 * near and count >= 0.005 * rows:
            says = f"{number:g} in {_share(count, rows)}, over ten times each neighbour: a true {number:g} or missing?"
            found.append(("sentinel", says))
    for end, edge in (("max", "p99"), ("min", "p1")):
        reach, usual = abs(numbers[end] - numbers["p50"]), abs(numbers[edge] - numbers["p50"])
        if usual and reach > 20 * usual and numbers[end] not in far:
            which = "largest" if end == "max" else "smallest"
            share = "99" if end == "max" else "1"
            found.append(("extreme", f"the {which}, {numbers[end]:g}, is far from the {share} % quantile, {numbers[edge]:g}"))
    return found


def _spelling(record: ColumnProfile, facts: Facts) -> list[tuple[str, str]]:
    found = []
    words, example = facts.capitals
    if words:
        some = "a word has" if words == 1 else f"{words:,} words have"
        found.append(("capitals", f"{some} several capitalisations: {', '.join(map(_quoted, example))}"))
    if facts.padded:
        found.append(("blanks", f"blanks before or after the text in {facts.padded:,} rows: {_quoted(facts.padded_example)}"))
    if facts.zeroed and record.type in ("integer", "double"):
        found.append(("zeros", f"{facts.zeroed:,} values begin with a 0, which a number would lose: {_quoted(facts.zeroed_example)}"))
    return found


def _sameness(record: ColumnProfile, facts: Facts) -> list[tuple[str, str]]:
    rows, distinct = record.rows, record.distinct
    if not facts.others:
        return [("constant", "nothing but nulls")]
    if distinct == 1 and rows > 1:
        return [("constant", f"one value only: {_quoted(facts.example)}" + (" or null" if record.nulls else ""))]
    if record.type == "double" or rows < 2:
        return []
    if distinct == rows:
        return [("unique", "every row has another value: a key?")]
    if facts.others == rows >= 100 and distinct >= NEARLY_UNIQUE * rows:
        return [("unique", f"nearly a key: {rows - distinct:,} of {rows:,} rows repeat a value")]
    return []


def _share(rows: int, total: int) -> str:
    """`1,234 rows (5.1 %)`."""
    share = rows / total if total else 0.0
    return f"{rows:,} rows ({'under 0.1' if share < 0.001 else f'{100 * share:.1f}'} %)"


def _quoted(text: str | None) -> str:
    shown = repr(text) if text is not None else "NULL"
    return shown if len(shown) <= 40 else shown[:39] + "…"
