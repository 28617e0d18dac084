"""Request rows: what is accepted, what is refused and how it is named, and features that keep the order of their rows."""

import datetime
import faulthandler
import json
import math
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.contract import Column, Contract, Rule
from ml.errors import SkewlessError
from ml.online.bulk import OnlineFeatures
from ml.online.parse import ARROW, EXPECTED, Refusal, parse, request_row

INPUTS = (
    Column("pickup", "text", "input", required=True),
    Column("seats", "integer", "input"),
    Column("miles", "double", "input", required=True),
    Column("is_shared", "boolean", "input"),
    Column("called_at", "timestamp", "input"),
    Column("booked_on", "date", "input"),
)
COLUMNS = (
    Column("trip", "text", "key"),
    Column("tip", "double", "target"),
    Column("usual_fare", "double", "feature", kind="numerical"),
    Column("kilometres", "double", "feature", kind="numerical"),
    Column("pickup", "text", "feature", kind="categorical"),
)
RULES = (
    Rule("ok_distance", "accurate", 0.1, "quarantine", "No trip is longer than the city.", "miles between 0e0 and 99e0", ("miles",)),
    Rule("ok_night", "consistent", 0.1, "quarantine", "No shared trip so far.", "not (is_shared and miles > 50e0)", ("miles", "is_shared")),
    Rule("ok_seats", "valid", 0.1, "flag", "Cars have up to six seats.", "coalesce(seats between 1 and 6, true)", ("seats",)),
    Rule("ok_date", "valid", 0.1, "flag", "A booking has a date.", "booked_on is not null", ("booked_on",)),
    Rule("ok_tip", "valid", 0.1, "quarantine", "Only the warehouse knows the tip."),
)
SQL = """
select request.trip, zones.rate * request.miles as usual_fare, request.miles * 1.609344e0 as kilometres, request.pickup
from toy_clean as request left join toy_zones as zones on request.pickup = zones.zone
"""
PLAIN = {"pickup": "a", "miles": 2.5}


def contract(key_type="text", **changes):
    columns = (Column("trip", key_type, "key"), *COLUMNS[1:])
    made = {"rules": RULES, "lookups": ("toy_zones",), "online_sql": SQL, **changes}
    return Contract("toy", "regression", "toy_features", "toy_clean", columns, INPUTS, **made)


def features(folder, zones=("a", "b", "c"), **changes):
    pq.write_table(pa.table({"zone": list(zones), "rate": [float(n + 1) for n in range(len(zones))]}), folder / "toy_zones.parquet")
    return OnlineFeatures(contract(**changes), folder)


def parsed(**fields):
    table, refusals = parse(contract(), [{**PLAIN, **fields}])
    return {name: values[0] for name, values in table.to_pydict().items()}, refusals


GOOD = [
    ("pickup", "", ""), ("pickup", "漢\x00字 <null>", "漢\x00字 <null>"), ("seats", 12, 12), ("seats", 12.0, 12), ("seats", -0.0, 0),
    ("seats", 2**63 - 1, 2**63 - 1), ("seats", -(2**63), -(2**63)), ("miles", 12, 12.0), ("miles", 5e-324, 5e-324),
    ("miles", 2**64, 2.0**64),
    ("is_shared", True, True), ("is_shared", False, False), ("booked_on", "2013-11-05", datetime.date(2013, 11, 5)),
    ("called_at", "2013-11-05T07:15:00", datetime.datetime(2013, 11, 5, 7, 15)),
    ("called_at", "2013-11-05 07:15:00.123456", datetime.datetime(2013, 11, 5, 7, 15, 0, 123456)),
    *((name, None, None) for name in ("seats", "is_shared", "called_at", "booked_on")),
]  # fmt: skip
WRONG = [
    *(("pickup", value) for value in (1, True, [], {}, "\ud800", "a\udfff")),
    *(("seats", value) for value in (12.5, "12", True, False, math.nan, math.inf, 2**63, -(2**63) - 1, 10**400, 1e300, [1])),
    *(("miles", value) for value in ("2.5", True, False, math.nan, math.inf, -math.inf, 10**400, [2.5])),
    *(("is_shared", value) for value in (0, 1, 1.0, "true", "", [])),
    *(("called_at", value) for value in ("2013-11-05", "2013-11-05T07:15:00Z", "2013-11-05T07:15:00+01:00", "20131105",
                                         "2013-02-30T07:15:00", "2013-11-05T25:00:00", "5.11.2013 7:15", "", "now", 1383635700, True)),
    *(("booked_on", value) for value in ("2013-11-05T00:00:00", "2013-02-30", "5.11.2013", "", "today", 20131105, True)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "expected"), GOOD)
def test_a_good_value_arrives_as_its_type(name, sent, expected):
    row, refusals = parsed(**{name: sent})
    assert refusals == [] and row[name] == expected and type(row[name]) is type(expected)


@pytest.mark.parametrize(("name", "sent"), WRONG)
def test_a_wrong_value_is_refused_with_its_field_rule_and_value_and_never_guessed(name, sent):
    row, (refusal,) = parsed(**{name: sent})
    kind = next(column.type for column in INPUTS if column.name == name)
    assert row[name] is None
    assert (refusal.row, refusal.field, refusal.rule, refusal.message) == (0, name, kind, f"{name} must be {EXPECTED[kind]}")
    assert refusal.value is sent
    assert json.dumps(refusal.to_dict(), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("row", [{"pickup": "a"}, {"pickup": "a", "miles": None}])
def test_a_missing_required_input_is_refused_by_name_whether_absent_or_null(row):
    _, refusals = parse(contract(), [PLAIN, row])
    assert [(one.row, one.field, one.rule, one.value, one.message) for one in refusals] == [
        (1, "miles", "required", None, "miles is required")
    ]


def test_a_missing_optional_input_is_null():
    table, refusals = parse(contract(), [PLAIN])
    assert refusals == [] and table.column_names == [column.name for column in INPUTS]
    assert table.to_pylist() == [{"seats": None, "is_shared": None, "called_at": None, "booked_on": None, **PLAIN}]


@pytest.mark.parametrize(("name", "near"), [("mile", "miles"), ("pick_up", "pickup"), ("calledat", "called_at"), ("weather", None)])
def test_an_unknown_field_is_refused_with_the_name_that_it_is_near_to(name, near):
    _, (refusal,) = parsed(**{name: 7})
    assert (refusal.field, refusal.rule, refusal.value) == (name, "known", 7)
    assert refusal.message == f"there is no input {name}" + (f"; did you mean {near}?" if near else "")


@pytest.mark.parametrize("row", [None, 5, "a", [], [["pickup", "a"]], True])
def test_a_row_that_is_no_object_is_refused_once_and_its_neighbours_are_read(row):
    table, refusals = parse(contract(), [PLAIN, row, PLAIN])
    assert [(one.row, one.field, one.rule) for one in refusals] == [(1, "", "object")]
    assert table["miles"].to_pylist() == [2.5, None, 2.5]


def test_every_fault_of_every_row_is_named():
    _, refusals = parse(contract(), [{"seats": "x", "mils": 1}, PLAIN, {**PLAIN, "is_shared": 1}])
    assert sorted((one.row, one.field, one.rule) for one in refusals) == [
        (0, "miles", "required"), (0, "mils", "known"), (0, "pickup", "required"), (0, "seats", "integer"), (2, "is_shared", "boolean"),
    ]  # fmt: skip


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"pickup": TEXT, "miles": st.floats(allow_nan=False, allow_infinity=False)},
        optional={
            "seats": st.none() | st.integers(1 - 2**63, 2**63 - 1),
            "is_shared": st.none() | st.booleans(),
            "called_at": st.none() | st.datetimes(),
            "booked_on": st.none() | st.dates(),
        },
    ),
    max_size=20,
)


@given(rows=ROWS)
def test_rows_sent_as_json_arrive_as_they_were(rows):
    body = json.dumps([request_row(row) for row in rows])
    table, refusals = parse(contract(), json.loads(body))
    assert refusals == []
    assert table.to_pylist() == [{column.name: row.get(column.name) for column in INPUTS} for row in rows]
    assert table.schema.types == [ARROW[column.type] for column in INPUTS]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELD = st.sampled_from([column.name for column in INPUTS]) | st.text(st.characters(), max_size=5)


@given(rows=st.lists(st.dictionaries(FIELD, ANY, max_size=4) | ANY, max_size=4))
def test_whatever_is_sent_is_answered_with_as_many_rows_and_nulls_where_it_is_refused(rows):
    table, refusals = parse(contract(), rows)
    assert table.num_rows == len(rows)
    for refusal in refusals:
        assert 0 <= refusal.row < len(rows) and refusal.message and refusal.rule
        assert refusal.field not in table.column_names or table[refusal.field][refusal.row].as_py() is None
        assert json.dumps(refusal.to_dict(), allow_nan=False, ensure_ascii=False).encode()


def nested(shape, depth):
    value = 1
    for _ in range(depth):
        value = shape(value)
    return value


SHAPES = {
    "long text": "x" * 100_000, "long number": 10**4000, "long list": [1] * 100_000, "wide": {str(n): n for n in range(10_000)},
    "deep list": nested(lambda value: [value], 800), "deep object": nested(lambda value: {"a": value}, 800),
    "bushy": nested(lambda value: dict.fromkeys("abcdefgh", value), 5),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("field", ["seats", "weather"])
def test_a_refusal_repeats_whatever_was_sent_in_short(shape, field):
    _, (refusal,) = parsed(**{field: SHAPES[shape]})
    assert len(json.dumps(refusal.to_dict(), allow_nan=False)) < 10_000


def rows_of(count, shift=0):
    return [{"pickup": "abcz"[(n * 7 + shift) % 4], "miles": float(n + shift)} for n in range(count)]


def expected_of(rows):
    rate = {"a": 1.0, "b": 2.0, "c": 3.0}
    return [
        {"usual_fare": rate[row["pickup"]] * row["miles"] if row["pickup"] in rate else None, "kilometres": row["miles"] * 1.609344,
         "pickup": row["pickup"]} for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize("key_type", ["text", "integer"])
@pytest.mark.parametrize("count", [0, 1, 5000])
def test_features_come_one_row_a_row_in_the_order_of_the_rows(tmp_path, key_type, count):
    rows = rows_of(count)
    table = features(tmp_path, key_type=key_type).features(parse(contract(), rows)[0])
    assert table.column_names == ["usual_fare", "kilometres", "pickup"]
    assert table.to_pylist() == expected_of(rows)


def test_the_key_has_the_type_that_the_feature_sql_was_written_for(tmp_path):
    written = SQL.replace("request.trip,", "upper(request.trip) as trip,")
    assert features(tmp_path, online_sql=written).features(parse(contract(), rows_of(3))[0]).to_pylist() == expected_of(rows_of(3))


def test_a_lookup_that_repeats_a_key_is_refused_with_both_counts(tmp_path):
    serving = features(tmp_path, zones=("a", "b", "a"))
    assert serving.features(parse(contract(), rows_of(8)[1:2])[0]).num_rows == 1
    with pytest.raises(SkewlessError, match="the features of 8 rows came out as 10") as refused:
        serving.features(parse(contract(), rows_of(8))[0])
    assert "unique" in refused.value.hint


def test_several_threads_share_one_instance_and_each_gets_its_own_rows(tmp_path):
    serving = features(tmp_path)

    def ask(number):
        rows = rows_of(1 + number % 50, shift=number)
        table = parse(contract(), rows)[0]
        return serving.features(table).to_pylist() == expected_of(rows) and len(serving.judge(table)[1]) == len(rows)

    faulthandler.dump_traceback_later(60, exit=True)  # a deadlock would hold Python's own lock too, and never end
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(400))) == [True] * 400
    faulthandler.cancel_dump_traceback_later()


def judged(folder, *rows):
    table, refusals = parse(contract(), [{**PLAIN, "booked_on": "2013-11-05", "is_shared": False, **row} for row in rows])
    assert refusals == []
    return features(folder).judge(table)


def test_a_row_that_breaks_a_quarantine_rule_is_refused_with_its_field_rule_and_value(tmp_path):
    refusals, flags = judged(tmp_path, {}, {"miles": 100.0}, {"miles": 60.0, "is_shared": True})
    assert refusals == [
        Refusal(1, "miles", "ok_distance", 100.0, "No trip is longer than the city."),
        Refusal(2, "miles, is_shared", "ok_night", {"miles": 60.0, "is_shared": True}, "No shared trip so far."),
    ]
    assert flags == [[], [], []]


def test_a_row_that_breaks_a_flag_rule_is_served_with_the_names_of_the_flags(tmp_path):
    assert judged(tmp_path, {}, {"seats": 7}, {"seats": 0, "booked_on": None}) == ([], [[], ["ok_seats"], ["ok_seats", "ok_date"]])


def test_a_rule_that_comes_out_as_null_is_broken(tmp_path):
    refusals, _ = judged(tmp_path, {"miles": 60.0, "is_shared": None})
    assert [refusal.rule for refusal in refusals] == ["ok_night"]


def test_refusals_name_their_rows_among_thousands(tmp_path):
    rows = [{"miles": 100.0 if n % 97 == 0 else 1.0, "seats": 9 if n % 89 == 0 else 1} for n in range(5000)]
    refusals, flags = judged(tmp_path, *rows)
    assert [refusal.row for refusal in refusals] == list(range(0, 5000, 97))
    assert [n for n, names in enumerate(flags) if names] == list(range(0, 5000, 89))


def test_without_rules_for_requests_nothing_is_refused(tmp_path):
    table = parse(contract(), rows_of(3))[0]
    assert features(tmp_path, rules=RULES[4:]).judge(table) == ([], [[], [], []])
