"""What makes an expression more than a function of one row: windows, aggregates, clocks, random values, time zones."""

import functools

import duckdb
from sqlglot import exp

DIALECT = "duckdb"
ZONED = {"timezone", "to_timestamp", "make_timestamptz", "timezone_hour", "timezone_minute"}
ZONED_TYPES = {exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ, exp.DataType.Type.TIMETZ}
NOT_OF_ONE_ROW: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Window, "a window"),
    (exp.AggFunc, "an aggregate"),
    (exp.Subquery, "a subquery"),
    (exp.Exists, "a subquery"),
    (exp.SetOperation, "a union"),
    (exp.Distinct, "a distinct"),
    (exp.Group, "a group by"),
    (exp.Where, "a where, which drops rows"),
    (exp.Limit, "a limit, which drops rows"),
    (exp.Offset, "an offset, which drops rows"),
    (exp.Qualify, "a qualify, which drops rows"),
    (exp.TableSample, "a sample, which drops rows"),
    (exp.Unnest, "an unnest"),
    (exp.Explode, "an unnest"),
    (exp.Lateral, "a lateral join"),
    (exp.AtTimeZone, "a time-zone conversion"),
    (exp.Rand, "a random number"),
    (exp.Uuid, "a random number"),
    (exp.CurrentDate, "the clock"),
    (exp.CurrentTimestamp, "the clock"),
    (exp.CurrentTime, "the clock"),
    (exp.Localtimestamp, "the clock"),
    (exp.Localtime, "the clock"),
)


@functools.cache
def _engine_functions() -> tuple[set[str], set[str]]:
    """The functions of DuckDB that change from call to call, and those that are aggregates only, by DuckDB's own list.

    `age` is not in it, and counts from today when it has one argument.
    """
    with duckdb.connect() as opened:
        listed = opened.execute("select function_name, function_type, stability from duckdb_functions()").fetchall()
    scalar = {name for name, kind, _ in listed if kind in ("scalar", "macro")}
    unstable = {"age"} | {name for name, _, stability in listed if stability in ("VOLATILE", "CONSISTENT_WITHIN_QUERY")}
    return unstable, {name for name, kind, _ in listed if kind == "aggregate"} - scalar


def not_of_one_row(tree: exp.Expr) -> tuple[str, exp.Expr] | None:
    """The first thing in an expression whose value depends on more than one row and its lookups, and what it is."""
    for kind, what in NOT_OF_ONE_ROW:
        found = tree.find(kind)
        if found is not None:
            return what, found
    unstable, aggregates = _engine_functions()
    for function in tree.find_all(exp.Func):
        name = function.sql(dialect=DIALECT).split("(")[0].strip().lower()
        if name in unstable:
            return "a function with another value every time", function
        if name in aggregates:
            return "an aggregate", function
        if name in ZONED or (isinstance(function, (exp.Cast, exp.TryCast)) and function.to.this in ZONED_TYPES):
            return "a time-zone conversion", function
    return None
