"""No input and no feature descends from what only the outcome brings, however long the way; a lookup fitted on train may."""

from typing import Any

import pytest

from ml.contract import Column, Contract, leakage
from ml.contract.leakage import Origin
from ml.errors import SkewlessError

STAGING = {
    "trip": "request", "called_at": "request", "zone": "request", "split": "request",
    "ended_at": "outcome", "fare": "outcome", "minutes": "outcome",
}  # fmt: skip
KNOWN = {"available": "request"}
RATES = ("zone", "rate", "since")
TRIPS = f"with source as (select * from read_parquet('raw/*.parquet')) select {', '.join(STAGING)} from source"
CHECKED = """
with trips as (select *, fare > 0 as ok_fare from "w"."main"."stg_trips"),
joined as (select trips.*, rates.rate from trips left join "w"."main"."stg_rates" as rates on {on})
select * from joined
"""
CLEAN = 'select trip, split, zone, called_at, {rate} as rate, minutes, fare from "w"."main"."checked" where ok_fare'
HISTORY = 'with kept as (select zone, fare from "w"."main"."clean" where {where}) select zone, sum(fare) as fares from kept group by zone'
FEATURES = """
with request as (select *, hour(called_at) as hour from "w"."main"."clean"),
done as (
    select request.trip, {feature} as usual, history.fares, request.fare
    from request left join "w"."main"."history" as history on request.zone = history.zone
)
select * from done
"""


def node(name: str, sql: str, parents: list[str], columns: dict[str, dict[str, Any]]) -> dict[str, Any]:
    entries = {column: {"name": column, "config": {"meta": about}} for column, about in columns.items()}
    return {
        "name": name, "resource_type": "model", "original_file_path": f"models/toy/{name}.sql",
        "patch_path": f"toy://models/toy/{name}.yml", "columns": entries, "compiled_code": sql, "depends_on": {"nodes": parents},
    }  # fmt: skip


def trace(
    on: str = "trips.zone = rates.zone",
    rate: str = "rate",
    where: str = "split = 'train'",
    feature: str = "request.rate * 2",
    declared: dict[str, str] = STAGING,
    staging: str = TRIPS,
) -> dict[str, tuple[Origin, ...]]:
    """The origins of the inputs and features of a small project, with one part of its SQL replaced."""
    nodes = [
        node("stg_trips", staging, ["source.raw"], {name: {"available": when} if when else {} for name, when in declared.items()}),
        node("stg_rates", "select zone, rate, since from 'rates/*.parquet'", ["source.raw"], dict.fromkeys(RATES, KNOWN)),
        node("checked", CHECKED.format(on=on), ["model.stg_trips", "model.stg_rates"], {}),
        node("clean", CLEAN.format(rate=rate), ["model.checked"], {"split": {"role": "split"}}),
        node("history", HISTORY.format(where=where), ["model.clean"], {}),
        node("features", FEATURES.format(feature=feature), ["model.clean", "model.history"], {}),
    ]
    contract = Contract(
        project="toy", task="regression", features_relation="features", request_relation="clean", lookups=("history",),
        columns=(Column("trip", "text", "key"), Column("usual", "double", "feature"), Column("fares", "double", "feature"),
                 Column("fare", "double", "target")),
        inputs=(Column("zone", "text", "input"), Column("called_at", "timestamp", "input"), Column("rate", "double", "input")),
    )  # fmt: skip
    sources = {"source.raw": {"columns": dict.fromkeys(("trip", "fare"))}}
    return leakage.require_known(contract, {"nodes": {f"model.{entry['name']}": entry for entry in nodes}, "sources": sources})


def test_a_feature_is_followed_to_its_staging_columns_through_stars_and_joins() -> None:
    found = trace()
    assert found["usual"] == (Origin("stg_rates", "rate", "request"), Origin("stg_trips", "zone", "request"))
    assert found["zone"] == (Origin("stg_trips", "zone", "request"),)


def test_a_lookup_fitted_on_train_may_read_outcomes() -> None:
    assert all(origin.available == "request" for origin in trace()["fares"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"feature": "request.rate * request.fare"}, "the feature usual descends from stg_trips.fare"),
        ({"feature": "case when request.minutes > 10 then 1 else 0 end"}, "stg_trips.minutes"),
        ({"rate": "rate + minutes"}, "the input rate descends from stg_trips.minutes"),
        ({"on": "trips.zone = rates.zone and rates.since = trips.ended_at"}, "the input rate descends from stg_trips.ended_at"),
        ({"where": "true"}, "history is fitted on more than the train split"),
        ({"where": "split <> 'out_of_time'"}, "history is fitted on more than the train split"),
        ({"where": "split = 'train' or zone = 'A'"}, "history is fitted on more than the train split"),
        ({"where": "zone = 'train'"}, "history is fitted on more than the train split"),
        ({"declared": {**STAGING, "fare": "request"}}, "nothing says when the target fare is known"),
        ({"declared": {**STAGING, "zone": "someday"}}, "stg_trips.zone: meta.available must be one of request, outcome, got 'someday'"),
        ({"declared": {**STAGING, "zone": ""}}, "models/toy/stg_trips.yml: stg_trips.zone: nothing says when .* no meta.available"),
        ({"declared": {"trip": "request"}}, "stg_trips.called_at: .* it has no entry"),
        ({"declared": {}}, "stg_trips.trip: .* it has no entry"),
        ({"staging": TRIPS.replace("trip,", "trip, tip,")}, "stg_trips.tip: .* it has no entry"),
        ({"staging": "select * from 'trips.parquet'"}, "stg_trips.raw_file: .* it has no entry"),
        ({"staging": 'select * from "w"."main"."checked"'}, "stg_trips.yml: stg_trips: its last select has a star"),
    ],
)
def test_what_only_the_outcome_brings_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SkewlessError, match=says):
        trace(**change)
    trace()  # the unchanged project is fine


def test_sql_that_reads_an_unknown_column_is_refused_with_the_model() -> None:
    """A seed whose column has no entry, for one: the manifest does not say what a seed has."""
    with pytest.raises(SkewlessError, match=r"the SQL of clean cannot be followed to its sources: .*tips"):
        trace(rate="checked.tips")


def test_a_condition_next_to_the_split_narrows_it() -> None:
    trace(where="'train' = split and zone <> 'A'")
