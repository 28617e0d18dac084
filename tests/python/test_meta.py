"""Every key that an analyst writes in YAML is checked: unknown keys, wrong types and wrong values are refused by name."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CHECKOUT, HERE, Checkout, make_toy

from ml import contract as contracts
from ml.contract import meta, reference
from ml.contract.declared import require_valid, require_valid_files, yaml_of
from ml.contract.validation import Place, Problem, expected, read, read_or_raise, require_none
from ml.errors import SkewlessError
from ml.ingest.layout import raw_tables

PLACE = Place("models/toy/toy.yml", "toy.column")
SIMULATED = {"module": "ml.simulate.toy", "rows": 1, "seed": 1}
GOOD: dict[type, dict[str, Any]] = {
    meta.ModelMeta: {"ml": {"request": "toy_clean", "task": "binary"}},
    meta.MlMeta: {
        "request": "toy_clean", "task": "regression", "baseline": "km", "residual": True,
        "slices": ["carrier", {"column": "km", "edges": [0, 15.5]}], "gates": {"boosting": 0}, "drift": {}, "train": {"epochs": 3},
    },
    meta.SliceMeta: {"column": "asked_at", "by": "month", "name": "month"},
    meta.GatesMeta: {"boosting": 0.02, "linear_out_of_time": True, "coverage": [0.86, 0.94]},
    meta.DriftMeta: {"numerical": 2, "categorical": 0.1, "share": 1},
    meta.TrainMeta: {"epochs": 1, "patience": 2, "batch_size": 3, "learning_rate": 0.1, "weight_decay": 0},
    meta.ColumnMeta: {
        "role": "feature", "kind": "numerical", "unit": "km", "family": "route", "required": False, "example": "2024-03-05T14:30:00",
        "drift": "ignore", "range": [0, 1.5], "is_present": True, "available": "outcome", "catches": ["copy"],
        "rule": {"dimension": "valid", "budget": 0, "action": "flag"},
    },
    meta.RuleMeta: {"dimension": "unified", "budget": 0.05, "action": "quarantine", "catches": ["copy"]},
    meta.NoMeta: {},
    meta.SimulateMeta: {"module": "ml.simulate.toy", "rows": 10, "seed": 0, "noise": "noise_km", "truth": ["expected_km"]},
    meta.IngestMeta: {"delimiter": "|", "quoted": False, "unnamed": 2, "package": "p", "file": "f.csv", "simulate": SIMULATED},
    meta.LayoutMeta: {"city": "chicago", "simulated_city": "simulated", "nulls": [], "times": ["YYYY-MM-DD HH:MM"]},
    meta.SourceMeta: {"external_location": "raw/*.parquet", "predictions": False, "ingest": {}, "layout": {"city": "chicago"}},
    meta.SourceColumnMeta: {"to": "fare_usd"},
}  # fmt: skip
BLOCKS = pytest.mark.parametrize("block", GOOD, ids=lambda block: block.__name__)


def found(block: type, raw: Any) -> list[Problem]:
    problems: list[Problem] = []
    read(block, raw, PLACE, problems)
    return problems


def test_every_block_is_tested_and_is_on_the_reference_page() -> None:
    blocks = {value for value in vars(meta).values() if dataclasses.is_dataclass(value)}
    assert blocks == set(GOOD) == {block for _, block in reference.SECTIONS}


@BLOCKS
def test_a_block_with_every_key_is_read_into_its_dataclass(block: type) -> None:
    made = read_or_raise(block, GOOD[block], PLACE)
    assert all(getattr(made, name) is not None for name in GOOD[block])
    assert {one.name for one in dataclasses.fields(block)} == set(GOOD[block]) or block is meta.SliceMeta  # edges exclude `by: month`


@BLOCKS
def test_an_unknown_key_is_refused_with_file_entry_key_and_the_nearest(block: type) -> None:
    (problem,) = found(block, {**GOOD[block], "zzz": 1})
    assert str(problem) == "models/toy/toy.yml: toy.column: meta has the unknown key 'zzz'"
    for name in GOOD[block]:
        misspelt = {**GOOD[block], name[:-1]: GOOD[block][name]}
        del misspelt[name]
        problems = found(block, misspelt)
        assert f"did you mean {name}?" in problems[0].do and repr(name[:-1]) in problems[0].says


@BLOCKS
@pytest.mark.parametrize("wrong", [[[]], {"unknown": 1}, None])
def test_a_wrong_type_is_refused_with_the_key_and_what_it_takes(block: type, wrong: Any) -> None:
    for name in GOOD[block]:
        problems = found(block, {**GOOD[block], name: wrong})
        assert problems and all(f"meta.{name}" in problem.says for problem in problems), name
        if wrong is None:
            assert expected(block, name) in problems[0].do


WRONG = [
    (meta.MlMeta, {"task": "ranking"}, "meta.task must be one of regression, binary, got 'ranking'"),
    (meta.MlMeta, {"residual": "yes"}, "meta.residual must be true or false, got 'yes'"),
    (meta.MlMeta, {"slices": "carrier"}, "meta.slices must be a list"),
    (meta.MlMeta, {"slices": [{"column": "km", "egdes": [1]}]}, "meta.slices[0] has the unknown key 'egdes'"),
    (meta.MlMeta, {"slices": [{"column": "km", "edges": [3, 1]}]}, "edges must rise"),
    (meta.MlMeta, {"gates": {"boostin": 0.1}}, "meta.gates has the unknown key 'boostin'"),
    (meta.MlMeta, {"train": {"epochs": 2.5}}, "meta.train.epochs must be an integer of at least 1, got 2.5"),
    (meta.MlMeta, {"train": {"epochs": True}}, "meta.train.epochs must be an integer"),
    (meta.TrainMeta, {"learning_rate": 0}, "must be a number above 0"),
    (meta.GatesMeta, {"coverage": [0.94, 0.86]}, "coverage must be [low, high]"),
    (meta.GatesMeta, {"coverage": [0.9]}, "meta.coverage must be [low, high], each a number from 0 to 1"),
    (meta.GatesMeta, {"coverage": [0.9, 94]}, "meta.coverage[1] must be a number from 0 to 1, got 94"),
    (meta.GatesMeta, {"boosting": float("nan")}, "meta.boosting must be a number"),
    (meta.DriftMeta, {"share": 30}, "meta.share must be a number above 0 and at most 1, got 30"),
    (meta.ColumnMeta, {"kind": "numercial"}, "meta.kind must be one of numerical, categorical, got 'numercial'"),
    (meta.ColumnMeta, {"drift": "ignored"}, "meta.drift must be ignore or a number above 0"),
    (meta.ColumnMeta, {"drift": True}, "meta.drift must be ignore or a number above 0"),
    (meta.ColumnMeta, {"range": [2, 1]}, "range must be [low, high]"),
    (meta.ColumnMeta, {"available": "departure"}, "meta.available must be one of request, outcome, got 'departure'"),
    (meta.RuleMeta, {"budget": "1%"}, "meta.budget must be a number from 0 to 1, got '1%'"),
    (meta.RuleMeta, {"budget": 1.5}, "meta.budget must be a number from 0 to 1, got 1.5"),
    (meta.RuleMeta, {"action": "quarantin"}, "meta.action must be one of quarantine, flag"),
    (meta.RuleMeta, {"dimension": "valuable"}, "meta.dimension must be one of valid"),
    (meta.IngestMeta, {"delimiter": "tab"}, "delimiter must be one character, got 'tab'"),
    (meta.IngestMeta, {"simulate": {**SIMULATED, "rows": 0}}, "meta.simulate.rows must be an integer of at least 1"),
    (meta.IngestMeta, {"simulate": {"module": "ml.simulate.toy", "rows": 5}}, "meta.simulate lacks the key 'seed'"),
    (meta.IngestMeta, {"simulate": {"rows": 5, "seed": 1}}, "meta.simulate lacks the key 'module'"),
    (meta.SimulateMeta, {"module": "os"}, "module must be a module below ml.simulate, got 'os'"),
    (meta.SimulateMeta, {"module": "ml.simulate."}, "module must be a module below ml.simulate, got 'ml.simulate.'"),
    (meta.SimulateMeta, {"module": "ml.simulate.a/../b"}, "module must be a module below ml.simulate, got 'ml.simulate.a/../b'"),
    (meta.LayoutMeta, {"times": ["HH", 3]}, "meta.times[1] must be a text, got 3"),
    (meta.SourceColumnMeta, {"to": 3}, "meta.to must be a text"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "change", "says"), WRONG, ids=[says for _, _, says in WRONG])
def test_a_wrong_value_is_refused_with_what_the_key_takes(block: type, change: dict[str, Any], says: str) -> None:
    (problem,) = found(block, {**GOOD[block], **change})
    assert says in problem.says and str(problem).startswith("models/toy/toy.yml: toy.column: ")


def test_the_hint_names_the_nearest_value_and_the_number_that_was_meant() -> None:
    assert "did you mean numerical?" in found(meta.ColumnMeta, {"kind": "numercial"})[0].do
    assert "write 0.01;" in found(meta.RuleMeta, {**GOOD[meta.RuleMeta], "budget": "1%"})[0].do
    assert "write 0.001;" in found(meta.RuleMeta, {**GOOD[meta.RuleMeta], "budget": "1e-3"})[0].do


def test_what_is_not_a_block_and_what_lacks_a_required_key_are_refused() -> None:
    assert "meta must be a block of keys, got 'toy'" in found(meta.MlMeta, "toy")[0].says
    assert [problem.says for problem in found(meta.MlMeta, {})] == ["meta lacks the key 'request'", "meta lacks the key 'task'"]


def test_several_problems_are_one_error_with_a_line_each() -> None:
    with pytest.raises(SkewlessError, match=r"2 declarations in YAML are wrong:\n  .*'request'.*\n  .*'task'"):
        require_none(found(meta.MlMeta, {}))


def test_jinja_that_dbt_renders_is_left_to_the_manifest() -> None:
    assert not found(meta.RuleMeta, {**GOOD[meta.RuleMeta], "budget": "{{ var('budget') }}"})
    assert not found(meta.SourceMeta, {"external_location": "{{ env_var('HOME') }}"})


def toy_manifest() -> dict[str, Any]:
    """The toy's models, sources and range test as dbt's manifest has them, from its YAML files."""
    made: dict[str, Any] = {"nodes": {}, "sources": {}}
    folder = HERE / "toy"
    for path in sorted((folder / "models").rglob("*.yml")):
        file = path.relative_to(folder).as_posix()
        content = yaml_of(path, folder)
        for entry in content.get("models", []):
            name, raw = f"model.{entry['name']}", ["source.toy"] if "staging" in path.parts else []
            made["nodes"][name] = {
                **entry, "resource_type": "model", "patch_path": f"skewless://{file}", "original_file_path": file.replace(".yml", ".sql"),
                "columns": {column["name"]: column for column in entry["columns"]}, "depends_on": {"nodes": raw},
            }  # fmt: skip
            if "keeps_declared_ranges" in entry.get("data_tests", []):
                about = {"name": "keeps_declared_ranges", "kwargs": {}}
                made["nodes"][f"test.{name}"] = {
                    "resource_type": "test", "name": f"test_{name}", "original_file_path": file,
                    "test_metadata": about, "attached_node": name,
                }  # fmt: skip
        for source in content.get("sources", []):
            for table in source["tables"]:
                made["sources"][f"source.{source['name']}.{table['name']}"] = {
                    **table, "resource_type": "source", "source_name": source["name"], "source_meta": source["config"]["meta"],
                    "original_file_path": file, "columns": {column["name"]: column for column in table["columns"]},
                }  # fmt: skip
    return made


def about(made: dict[str, Any], model: str, column: str = "") -> dict[str, Any]:
    node = made["nodes"][f"model.{model}"]
    return (node["columns"][column] if column else node)["config"]["meta"]


def renamed(block: dict[str, Any], old: str, new: str) -> None:
    block[new] = block.pop(old)


FEATURES, CHECKED, PARCELS = "models/toy/marts/toy_features", "models/toy/intermediate/int_parcels_checked", "models/toy/staging"
FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "residul": (
        lambda made: about(made, "toy_features")["ml"].update(residul=False),
        f"{FEATURES}.yml: toy_features: meta.ml has the unknown key 'residul'; did you mean residual?",
    ),
    "numercial": (
        lambda made: about(made, "toy_features", "weight_kg").update(kind="numercial"),
        f"{FEATURES}.yml: toy_features.weight_kg: meta.kind must be one of numerical, categorical, got 'numercial'; did you mean",
    ),
    "unti": (
        lambda made: renamed(about(made, "toy_features", "distance_km"), "unit", "unti"),
        f"{FEATURES}.yml: toy_features.distance_km: meta has the unknown key 'unti'; did you mean unit?",
    ),
    "budget: 1%": (
        lambda made: about(made, "int_parcels_checked", "ok_weight")["rule"].update(budget="1%"),
        f"{CHECKED}.yml: int_parcels_checked.ok_weight: meta.rule.budget must be a number from 0 to 1, got '1%'; write 0.01;",
    ),
    "action: drop": (
        lambda made: about(made, "int_parcels_checked", "ok_weight")["rule"].update(action="drop"),
        f"{CHECKED}.yml: int_parcels_checked.ok_weight: meta.rule.action must be one of quarantine, flag, got 'drop'",
    ),
    "delimitr": (
        lambda made: made["sources"]["source.toy_raw.parcels"]["config"]["meta"]["ingest"].update(delimitr=";"),
        f"{PARCELS}/_toy__sources.yml: toy_raw.parcels: meta.ingest has the unknown key 'delimitr'; did you mean delimiter?",
    ),
    "available in a mart": (
        lambda made: about(made, "toy_clean", "depot").update(available="request"),
        "toy_clean.depot: meta.available is read only in models that read a source",
    ),
    "range without a test": (
        lambda made: about(made, "toy_features", "distance_km").update(range=[0, 9]),
        "toy_features.distance_km: meta declares a range, and no data test keeps_declared_ranges enforces it",
    ),
    "rule of another name": (
        lambda made: about(made, "int_parcels_checked", "parcel_id").update(rule=dict(GOOD[meta.RuleMeta])),
        "int_parcels_checked.parcel_id: meta.rule is on a column that is not named ok_<name>",
    ),
}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    made = toy_manifest()
    for entry in [*made["nodes"].values(), *(column for node in made["nodes"].values() for column in node.get("columns", {}).values())]:
        entry.setdefault("config", {}).setdefault("meta", {})
    require_valid(made, "toy")
    return made


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_manifest_is_refused_with_file_entry_key_and_the_nearest(manifest: dict[str, Any], fault: str) -> None:
    made = copy.deepcopy(manifest)
    change, says = FAULTS[fault]
    change(made)
    with pytest.raises(SkewlessError) as refused:
        contracts.from_manifest(made, "toy")
    assert says in f"{refused.value}; {refused.value.hint}"


def test_the_yaml_of_every_project_is_accepted() -> None:
    for project in ("flights", "taxi"):
        require_valid_files(CHECKOUT, project)
        assert raw_tables(CHECKOUT, project)


MISSPELT = (
    (f"{FEATURES}.yml", "baseline: distance_km", "baselin: distance_km", "meta.ml has the unknown key 'baselin'; did you mean baseline?"),
    (f"{FEATURES}.yml", "unit: kg", "unti: kg", "toy_features.weight_kg: meta has the unknown key 'unti'; did you mean unit?"),
    (f"{CHECKED}.yml", "budget: 0.05, action: flag", "budget: 5%, acton: flag", "int_parcels_checked.ok_depot_open: meta.rule"),
    (f"{PARCELS}/_toy__sources.yml", "file: depots.csv", "fil: depots.csv", "toy_raw.depots: meta.ingest has the unknown key 'fil'"),
    (f"{PARCELS}/stg_toy__depots.yml", "{available: request}}}", "{availabel: request}}}", "did you mean available?"),
)


@pytest.fixture
def misspelt(tmp_path: Path) -> Iterator[Checkout]:
    toy = make_toy(tmp_path)
    for path, old, new, _ in MISSPELT:
        toy.edit(path, old, new)
    yield toy


@pytest.mark.dbt
def test_check_and_build_name_five_misspelt_keys_at_once_before_dbt_runs(misspelt: Checkout) -> None:
    for verb in ("check", "build"):
        said = " ".join(misspelt.skewless(verb, "toy", code=1).split())
        assert all(path in said and says in said for path, _, _, says in MISSPELT), said
        assert "got '5%'" in said and "did you mean action?" in said
        assert not (misspelt.root / "workspaces" / "default" / "compile").exists()


@pytest.mark.dbt
def test_ingest_refuses_a_misspelt_key_of_a_source(misspelt: Checkout) -> None:
    said = " ".join(misspelt.skewless("ingest", "toy", code=1).split())
    assert "_toy__sources.yml: toy_raw.depots: meta.ingest has the unknown key 'fil'" in said and "did you mean file?" in said


def test_the_reference_page_is_the_one_that_the_dataclasses_give() -> None:
    assert (CHECKOUT / reference.PAGE).read_text() == reference.page(), "run: python -m ml.contract.reference"
    for block in GOOD:
        assert all(
            one.metadata["meaning"].endswith(".") and one.metadata["meaning"] in reference.page() for one in dataclasses.fields(block)
        )


@pytest.mark.dbt
def test_a_staging_column_or_model_without_entry_is_refused_by_name(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    toy.skewless("ingest", "toy")
    weight = "      - {name: weight_g, description: Weight., config: {meta: {available: request}}}\n"
    toy.edit(f"{PARCELS}/stg_toy__parcels.yml", weight, "")
    said = " ".join(toy.skewless("check", "toy", code=1).split())
    assert "stg_toy__parcels.yml: stg_toy__parcels.weight_g: nothing says when this column is known: it has no entry" in said
    (toy.folder / PARCELS / "stg_toy__parcels.yml").unlink()
    said = " ".join(toy.skewless("check", "toy", code=1).split())
    assert "stg_toy__parcels.parcel_id: nothing says when this column is known: it has no entry" in said


@pytest.mark.dbt
def test_a_row_out_of_a_declared_range_fails_the_build_and_null_does_not(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    toy.skewless("ingest", "toy")
    toy.skewless("build", "toy")  # some weights are null
    toy.edit("models/toy/marts/toy_clean.yml", "range: [1, 30000]", "range: [1, 9000]")
    assert "keeps_declared_ranges_toy_clean" in toy.skewless("build", "toy", code=3)
