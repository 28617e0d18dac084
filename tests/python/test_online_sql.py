"""What a feature table may not do, which rules are enforced on requests, and online SQL that means what the warehouse's means."""

import datetime

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from ml import contract as contracts
from ml.contract import online_sql
from ml.errors import SkewlessError

FEATURES = """
with request as (
    select * from "warehouse"."dev"."toy_clean"
),
features as (
    select
        request.trip, request.day, request.left_at, request.split, request.bucket, request.tip,
        {miles} as miles,
        coalesce(pickups.rate, 1e0) * request.miles as usual_fare,
        case when extract('hour' from request.called_at) >= 18 or pickups.area > dropoffs.area then 1e0 else 0e0 end as is_evening,
        request.pickup as pickup
    from request
    left join "warehouse"."dev"."toy_zones" as pickups on {on}
    left join "warehouse"."dev"."toy_zones" as dropoffs on request.dropoff = dropoffs.zone
    {tail}
)
select * from features {end}
"""
CHECKED = "with trips as (select * from stg) select *, {rule} as ok_rule from trips"
REQUEST = "select trip, day, left_at, split, bucket, pickup, dropoff, miles, called_at, tip, driver from checked where ok_rule"
DEFAULTS = {"miles": "request.miles", "on": "request.pickup = pickups.zone", "tail": "", "end": ""}


def node(name, columns, parents=(), sql="select 1", **meta):
    entries = {}
    for column, about in columns.items():
        data_type, _, role = about["is"].partition(" ")
        own = {**({"role": role} if role else {}), **{name: value for name, value in about.items() if name != "is"}}
        entries[column] = {"name": column, "data_type": data_type, "description": f"About {column}.", "config": {"meta": own}}
    return {
        "name": name, "resource_type": "model", "original_file_path": f"models/toy/{name}.sql", "columns": entries,
        "config": {"meta": meta}, "depends_on": {"nodes": [f"model.{parent}" for parent in parents]}, "compiled_code": sql,
    }  # fmt: skip


def manifest(features=FEATURES, rule="miles > 0", action="quarantine", checked=CHECKED, request=REQUEST, **parts):
    kept = {"trip": "varchar key", "day": "varchar group", "left_at": "timestamp time", "split": "varchar split",
            "bucket": "integer sample", "tip": "double target"}  # fmt: skip
    inputs = {"pickup": "varchar input", "dropoff": "varchar input", "miles": "double input", "called_at": "timestamp input"}
    numerical = {name: {"is": "double feature", "kind": "numerical"} for name in ("miles", "usual_fare", "is_evening")}
    sql = features.format(**{**DEFAULTS, **parts}) if features is FEATURES else features
    about = {"dimension": "valid", "budget": 0.1, "action": action}
    nodes = [
        node("checked", {"ok_rule": {"is": "boolean", "rule": about}}, sql=checked.replace("{rule}", rule)),
        node("toy_zones", {"zone": {"is": "varchar"}, "rate": {"is": "double"}, "area": {"is": "double"}}),
        node("toy_clean", {name: {"is": text} for name, text in {**kept, **inputs, "driver": "varchar"}.items()}, ["checked"], request),
        node(
            "toy_features",
            {**{name: {"is": text} for name, text in kept.items()}, **numerical,
             "pickup": {"is": "varchar feature", "kind": "categorical"}},
            ["toy_clean", "toy_zones"], sql, ml={"request": "toy_clean", "task": "regression"},
        ),
    ]  # fmt: skip
    return {"nodes": {f"model.{one['name']}": one for one in nodes}}


def completed(**changes):
    made = manifest(**changes)
    return online_sql.complete(contracts.from_manifest(made, "toy"), made)


def refusal(**changes):
    with pytest.raises(SkewlessError) as refused:
        completed(**changes)
    assert refused.value.hint
    return str(refused.value)


NOT_OF_ONE_ROW = {
    "row_number() over (order by request.miles)": "ROW_NUMBER",
    "sum(request.miles)": "SUM",
    "product(request.miles)": "product",
    "(select max(rate) from zones)": "MAX(rate)",
    "(select 1)": "SELECT 1",
    "case when exists (select 1) then 1 end": "EXISTS",
    "case when request.pickup in (select 'a') then 1 end": "SELECT 'a'",
    "unnest([1, 2])": "UNNEST",
    "random()": "random",
    "uuid()": "uuid",
    "now()": "now",
    "current_date": "CURRENT_DATE",
    "current_timestamp": "CURRENT_TIMESTAMP",
    "today()": "CURRENT_DATE",
    "localtimestamp": "LOCALTIMESTAMP",
    "age(request.called_at)": "age",
    "request.called_at at time zone 'Europe/Zurich'": "AT TIME ZONE",
    "timezone('Europe/Zurich', request.called_at)": "timezone",
    "cast(request.called_at as timestamp with time zone)": "TIMESTAMPTZ",
}


@pytest.mark.parametrize(("expression", "named"), NOT_OF_ONE_ROW.items())
def test_an_expression_over_more_than_one_row_its_clock_or_its_dice_is_refused_by_name(expression, named):
    assert named.lower() in refusal(miles=expression).lower()


CLAUSES = {
    "where miles > 1": "WHERE miles > 1", "limit 5": "LIMIT 5", "offset 5": "OFFSET 5", "group by all": "GROUP BY",
    "order by miles limit 3": "LIMIT 3", "using sample 10%": "SAMPLE", "qualify row_number() over () = 1": "ROW_NUMBER",
    "union all select * from features": "union", "except select * from features": "union",
}  # fmt: skip


@pytest.mark.parametrize(("clause", "named"), CLAUSES.items())
@pytest.mark.parametrize("place", ["tail", "end"])
def test_a_clause_that_drops_or_merges_rows_is_refused_by_name(place, clause, named):
    assert named in refusal(**{place: clause})


def test_a_distinct_is_refused():
    assert "DISTINCT" in refusal(features=FEATURES.format(**DEFAULTS).replace("select * from features", "select distinct * from features"))


JOINS = ["inner join {} as z on request.pickup = z.zone", "right join {} as z on request.pickup = z.zone", "cross join {} as z",
         "full join {} as z on request.pickup = z.zone", "left join {} as z on request.miles > z.rate", "left join {} as z using (zone)",
         "left join {} as z on request.pickup = z.zone or true", "left join {} as z on true", "natural left join {} as z",
         "left join {} as z on z.zone = z.zone", "semi join {} as z on request.pickup = z.zone"]  # fmt: skip


@pytest.mark.parametrize("join", JOINS)
def test_a_join_that_could_drop_or_repeat_a_request_row_is_refused_by_name(join):
    message = refusal(tail=join.format('"warehouse"."dev"."toy_zones"'))
    assert "toy_features joins" in message and '"toy_zones" AS' in message


@pytest.mark.parametrize("column", ["tip", "split", "day", "left_at", "bucket", "driver", "trip"])
@pytest.mark.parametrize("expression", ["request.{}", "coalesce(length(cast(request.{} as varchar)), 0) + request.miles"])
def test_a_feature_that_reads_what_no_request_has_is_refused_with_both_names(column, expression):
    message = refusal(miles=expression.format(column))
    assert "the feature miles reads" in message and column in message


@pytest.mark.parametrize("column", ["tip", "day", "trip"])
def test_another_name_does_not_hide_what_a_feature_reads(column):
    renamed = FEATURES.replace('select * from "warehouse"', f'select *, {column} as harmless from "warehouse"')
    message = refusal(features=renamed.format(**{**DEFAULTS, "miles": "length(cast(request.harmless as varchar))"}))
    assert "the feature miles reads" in message and column in message


@pytest.mark.parametrize("column", ["tip", "split", "day", "driver", "trip"])
def test_a_join_on_what_no_request_has_is_refused_by_name(column):
    assert column in refusal(on=f"request.pickup = pickups.zone and request.{column} = pickups.zone")


@pytest.mark.parametrize("relation", ['"warehouse"."dev"."stg_toy"', "stg_toy"])
def test_a_relation_that_is_neither_the_request_nor_a_lookup_is_refused_by_name(relation):
    assert "stg_toy" in refusal(tail=f"left join {relation} as s on request.pickup = s.zone")


def test_an_unknown_column_is_refused_by_name():
    assert "speed" in refusal(miles="request.speed")


def test_a_declared_feature_that_the_sql_lacks_is_refused_by_name():
    assert "usual_fare" in refusal(features=FEATURES.format(**DEFAULTS).replace("as usual_fare", "as usual_price"))


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "z", None]), st.sampled_from(["a", "b", None]), st.none() | st.floats(-1e6, 1e6),
        st.none() | st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2030, 1, 1)),
    ), max_size=30,
)  # fmt: skip


TABLES = """
create table toy_zones as from (values ('a', 1.5e0, 7e0), ('b', null, 9e0), ('c', 0.1e0, null)) v (zone, rate, area);
attach ':memory:' as warehouse;
create schema warehouse.dev;
create table warehouse.dev.toy_zones as from toy_zones;
create table warehouse.dev.toy_clean as select *, '' as day, called_at as left_at, 'train' as split, 0 as bucket, 1e0 as tip from toy_clean;
"""


@settings(max_examples=examples(25))
@given(rows=ROWS)
def test_the_online_sql_gives_from_inputs_alone_what_the_warehouse_gives(rows):
    miles = "case when request.miles between 0e0 and 3e0 then request.miles else power(request.miles, 2e0) end"
    contract = completed(miles=miles)
    columns = [[row[place] for row in rows] for place in range(4)] + [[str(number) for number in range(len(rows))]]
    types = [pa.string(), pa.string(), pa.float64(), pa.timestamp("us"), pa.string()]
    given_rows = pa.table(list(map(pa.array, columns, types)), [*(column.name for column in contract.inputs), "trip"])
    names = ", ".join(["trip", *(column.name for column in contract.features)])
    with duckdb.connect() as connection:
        connection.register("toy_clean", given_rows)
        connection.execute(TABLES)
        offline = connection.execute(f"select {names} from ({FEATURES.format(**{**DEFAULTS, 'miles': miles})}) order by trip").fetchall()
        connection.execute("detach warehouse")
        assert connection.execute(f"from ({contract.online_sql}) order by trip").fetchall() == offline
    assert len(offline) == len(rows)


def enforced(**changes):
    (rule,) = completed(**changes).rules
    return rule.sql, rule.inputs


@pytest.mark.parametrize("action", ["quarantine", "flag"])
def test_a_rule_over_inputs_alone_is_enforced_on_requests(action):
    sql, inputs = enforced(rule="coalesce(trips.pickup <> dropoff, false) and miles between 0 and 99", action=action)
    assert inputs == ("pickup", "dropoff", "miles")
    with duckdb.connect() as connection:
        rows = "(values ('a', 'b', 5), ('a', 'a', 5), ('a', null, 5), ('a', 'b', 100)) v (pickup, dropoff, miles)"
        assert connection.execute(f"select {sql} from {rows}").fetchall() == [(True,), (False,), (False,), (False,)]


NOT_AT_THE_DOOR = [
    "tip >= 0", "miles > 0 and tip >= 0", "has_zone", "true", "miles > previous_miles", "miles > avg(miles) over ()",
    "pickup in (select zone from zones)", "miles > random()", "called_at < now()", "called_at < localtimestamp",
]  # fmt: skip


@pytest.mark.parametrize("rule", NOT_AT_THE_DOOR)
def test_a_rule_that_a_request_alone_cannot_judge_stays_in_the_warehouse(rule):
    assert enforced(rule=rule) == (None, ())


@pytest.mark.parametrize("changed", ["miles * 2 as miles", "cast(miles as integer) as miles", "kilometres as miles"])
def test_a_rule_over_an_input_that_the_request_relation_changes_stays_in_the_warehouse(changed):
    assert enforced(request=REQUEST.replace("miles", changed)) == (None, ())
    assert enforced(request=REQUEST.replace("miles", changed), rule="pickup <> dropoff")[1] == ("pickup", "dropoff")


def test_a_rule_over_an_input_that_a_star_replaces_stays_in_the_warehouse():
    assert enforced(request="select * replace (miles * 2 as miles) from checked") == (None, ())
    assert enforced(request="select * exclude (miles), kilometres as miles from checked") == (None, ())


def test_a_rule_over_an_input_that_changes_next_to_the_rule_stays_in_the_warehouse():
    assert enforced(checked="select trip, miles * 2 as miles, {rule} as ok_rule from stg") == (None, ())


def test_a_rule_over_an_input_that_changes_after_the_rule_stays_in_the_warehouse():
    late = "with judged as (select *, {rule} as ok_rule from stg) select trip, miles * 2 as miles, ok_rule from judged"
    assert enforced(checked=late) == (None, ())


def test_a_contract_comes_back_from_json_as_it_was():
    contract = completed()
    assert contracts.from_json(contract.to_json()) == contract
    assert contract.rules[0].sql and contract.online_sql and contract.lookups == ("toy_zones",)
    assert contract.numerical == ("miles", "usual_fare", "is_evening") and contract.categorical == ("pickup",)
    assert [column.name for column in contract.inputs] == ["pickup", "dropoff", "miles", "called_at"]


def settings_of(**changed):
    return lambda nodes: nodes["model.toy_features"]["config"]["meta"]["ml"].update(changed)


def entry_of(name, column, data_type=None, **changed):
    def change(nodes):
        entry = nodes[f"model.{name}"]["columns"][column]
        entry["config"]["meta"].update(changed)
        entry["data_type"] = data_type or entry["data_type"]

    return change


def without_role(name, column):
    return lambda nodes: nodes[f"model.{name}"]["columns"][column]["config"]["meta"].pop("role")


BROKEN = [
    (settings_of(task="ranking"), "ranking"), (settings_of(task=None), "meta.ml.task has no value"),
    (settings_of(request="toy_dirty"), "toy_dirty"),
    (settings_of(baseline="speed"), "baseline 'speed'"), (settings_of(baseline="pickup"), "baseline 'pickup'"),
    (settings_of(residual=True), "residual without a baseline"), (settings_of(slices=["miles"]), "slice 'miles'"),
    (settings_of(residual=True, baseline="miles", task="binary"), "residual"),
    *((without_role("toy_features", column), f"0 columns with the role {role}") for column, role in
      {"trip": "key", "day": "group", "left_at": "time", "split": "split", "bucket": "sample", "tip": "target"}.items()),
    (entry_of("toy_features", "day", role="key"), "2 columns with the role key"),
    (entry_of("toy_features", "miles", kind=""),
     "toy_features.miles: meta.kind must be one of numerical, categorical, got ''"),
    (entry_of("toy_features", "miles", role="label"), "toy_features.miles: meta.role must be one of"),
    (entry_of("toy_features", "miles", kind="categorical"), "categorical feature toy_features.miles has the type double"),
    (entry_of("toy_features", "miles", "varchar"), "numerical feature toy_features.miles has the type text"),
    (entry_of("toy_clean", "pickup", "blob"), "toy_clean.pickup has the data_type 'blob'"),
    (entry_of("checked", "ok_rule", rule={"action": "drop", "dimension": "valid", "budget": 0}), "checked.ok_rule"),
    (lambda nodes: nodes["model.toy_zones"].update(columns={}), "lookup toy_zones has no columns"),
    (lambda nodes: nodes["model.toy_features"]["config"].update(meta={}), "project toy must declare"),
    (lambda nodes: nodes["model.toy_clean"]["config"].update(meta={"ml": {"task": "binary", "request": "checked"}}),
     "toy_clean, toy_features"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "named"), BROKEN, ids=[named for _, named in BROKEN])
def test_a_declaration_that_no_network_could_be_trained_from_is_refused_by_name(change, named):
    made = manifest()
    change(made["nodes"])
    with pytest.raises(SkewlessError) as refused:
        online_sql.complete(contracts.from_manifest(made, "toy"), made)
    assert named in str(refused.value) and refused.value.hint
