"""A dbt manifest → Contract: the columns of a project, their roles and kinds, its inputs, rules, lookups and online SQL."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ml.contract.manifest import checked_node, features_node, meta, model_named, parents, rule_meta
from ml.errors import GateError, SkewlessError

TASKS = ("regression", "binary")
ROLES = ("key", "group", "time", "split", "sample", "target", "feature", "input")
KINDS = ("numerical", "categorical")
TRAIN = ("epochs", "patience", "batch_size", "learning_rate", "weight_decay")
GATES = ("boosting", "linear_out_of_time", "coverage")
TYPES = {
    "varchar": "text", "string": "text", "text": "text",
    "tinyint": "integer", "smallint": "integer", "integer": "integer", "int": "integer", "bigint": "integer",
    "double": "double", "float": "double", "real": "double",
    "boolean": "boolean", "bool": "boolean",
    "timestamp": "timestamp", "date": "date",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of the feature table or of the request relation. `type` is one of the values of TYPES."""

    name: str
    type: str
    role: str
    description: str = ""
    kind: str = ""
    unit: str = ""
    required: bool = False
    example: Any = None
    drift: Any = None
    family: str = ""


@dataclass(frozen=True)
class Slice:
    """Parts of the rows whose errors are told apart, `by` value, month or band; `edges` are those of bands."""

    name: str
    column: str
    by: str = "value"
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A quality rule. `sql` is its condition over inputs alone, or None where only the warehouse can judge it."""

    name: str
    dimension: str
    budget: float
    action: str
    description: str
    sql: str | None = None
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """What SQL and Python agree on for one project."""

    project: str
    task: str
    features_relation: str
    request_relation: str
    columns: tuple[Column, ...]
    inputs: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    lookups: tuple[str, ...] = ()
    online_sql: str = ""
    baseline: str | None = None
    residual: bool = False
    slices: tuple[Slice, ...] = ()
    gates: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == "feature")

    @property
    def numerical(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.features if column.kind == "numerical")

    @property
    def categorical(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.features if column.kind == "categorical")

    def only(self, role: str) -> str:
        """The name of the one column of the feature table with a role."""
        return next(column.name for column in self.columns if column.role == role)

    def example(self) -> dict[str, Any]:
        """A request row, from the examples beside the inputs."""
        return {column.name: column.example for column in self.inputs if column.example is not None}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)


def from_json(text: str) -> Contract:
    """The contract that `to_json` wrote."""
    value = json.loads(text)
    for name in ("columns", "inputs"):
        value[name] = tuple(Column(**column) for column in value[name])
    value["rules"] = tuple(Rule(**{**rule, "inputs": tuple(rule["inputs"])}) for rule in value["rules"])
    value["lookups"] = tuple(value["lookups"])
    value["slices"] = tuple(Slice(**{**slice_, "edges": tuple(slice_["edges"])}) for slice_ in value["slices"])
    return Contract(**value)


def load(path: Path) -> Contract:
    """The contract in a file.

    Raises:
        GateError: for one that another version of this code wrote.
    """
    try:
        return from_json(path.read_text())
    except (TypeError, KeyError, ValueError) as error:
        raise GateError(f"{path} was written by another version of Skewless: {error}", "make it anew: skewless run PROJECT") from error


def from_manifest(manifest: dict[str, Any], project: str) -> Contract:
    """The contract that a compiled manifest declares for a project; `lineage.complete` adds what its SQL says.

    Raises:
        SkewlessError: for a declaration that no network could be trained from, naming the entry.
    """
    node = features_node(manifest, project)
    place = f"the entry of {node['name']}"
    settings = meta(node)["ml"]
    if settings.get("task") not in TASKS:
        raise SkewlessError(f"{place} has the task {settings.get('task')!r}", f"set meta.ml.task to one of {', '.join(TASKS)}")
    request = model_named(manifest, settings.get("request", ""))
    if request is None:
        raise SkewlessError(
            f"{place} names the request relation {settings.get('request')!r}, which is no model", "set meta.ml.request to the name of one"
        )
    columns = _columns(node)
    contract = Contract(
        project=project,
        task=settings["task"],
        features_relation=node["name"],
        request_relation=request["name"],
        columns=columns,
        inputs=tuple(column for column in _columns(request) if column.role == "input"),
        rules=_rules(checked_node(manifest, request)),
        lookups=tuple(sorted(parent["name"] for parent in parents(manifest, node) if parent["name"] != request["name"])),
        baseline=settings.get("baseline"),
        residual=bool(settings.get("residual", False)),
        slices=tuple(_slice(entry) for entry in settings.get("slices", ())),
        gates=settings.get("gates", {}),
        train=settings.get("train", {}),
        drift={"numerical": 0.1, "categorical": 0.1, "share": 0.3, **settings.get("drift", {})},
    )
    _require_whole(contract, request["name"])
    return contract


def column_type(entry: dict[str, Any], place: str) -> str:
    written = (entry.get("data_type") or "").lower().split("(")[0].strip()
    if written not in TYPES:
        raise SkewlessError(f"{place}.{entry['name']} has the data_type {written!r}", f"use one of {', '.join(TYPES)}")
    return TYPES[written]


def _columns(node: dict[str, Any]) -> tuple[Column, ...]:
    columns = []
    for entry in node["columns"].values():
        about = meta(entry)
        role = about.get("role", "")
        if not role:
            continue
        if role not in ROLES:
            raise SkewlessError(f"{node['name']}.{entry['name']} has the role {role!r}", f"use one of {', '.join(ROLES)}")
        known = {name: about[name] for name in ("kind", "unit", "required", "example", "drift", "family") if name in about}
        columns.append(Column(entry["name"], column_type(entry, node["name"]), role, entry.get("description", ""), **known))
    return tuple(columns)


def _rules(node: dict[str, Any] | None) -> tuple[Rule, ...]:
    if node is None:
        return ()
    rules = []
    for entry in node["columns"].values():
        about = rule_meta(entry)
        if about:
            if not entry["name"].startswith("ok_") or about.get("action") not in ("quarantine", "flag"):
                raise SkewlessError(
                    f"the rule {node['name']}.{entry['name']} is incomplete",
                    "name it ok_..., and give it a dimension, a budget and the action quarantine or flag",
                )
            rules.append(Rule(entry["name"], about["dimension"], float(about["budget"]), about["action"], entry.get("description", "")))
    return tuple(rules)


def _require_whole(contract: Contract, request: str) -> None:
    place = contract.features_relation
    for role in ("key", "group", "time", "split", "sample", "target"):
        count = sum(column.role == role for column in contract.columns)
        if count != 1:
            raise SkewlessError(
                f"{place} has {count} columns with the role {role}, and must have one", f"give one column the meta {{role: {role}}}"
            )
    if not contract.features:
        raise SkewlessError(f"{place} has no column with the role feature", "give its features the meta {role: feature, kind: numerical}")
    if not contract.inputs:
        raise SkewlessError(f"{request} has no column with the role input", "give the columns that a request has the meta {role: input}")
    for column in contract.features:
        if column.kind not in KINDS:
            raise SkewlessError(f"the feature {place}.{column.name} has the kind {column.kind!r}", f"use one of {', '.join(KINDS)}")
        if column.kind == "numerical" and column.type not in ("double", "integer", "boolean"):
            raise SkewlessError(
                f"the numerical feature {place}.{column.name} has the type {column.type}",
                "cast it to double in the SQL, or make it categorical",
            )
        if column.kind == "categorical" and column.type != "text":
            raise SkewlessError(
                f"the categorical feature {place}.{column.name} has the type {column.type}", "cast it to varchar in the SQL"
            )
    if contract.baseline is not None and contract.baseline not in contract.numerical:
        raise SkewlessError(
            f"the baseline {contract.baseline!r} of {place} is no numerical feature", "name one of them in meta.ml.baseline"
        )
    if contract.residual and (contract.baseline is None or contract.task != "regression"):
        raise SkewlessError(f"{place} asks for a residual without a baseline to subtract", "set meta.ml.baseline, or leave residual out")
    _require_slices(contract, place)
    _require_settings(contract, place)


def _require_settings(contract: Contract, place: str) -> None:
    for what, given, known in (("gate", contract.gates, GATES), ("setting", contract.train, TRAIN)):
        unknown = sorted(given.keys() - set(known))
        if unknown:
            where = {"gate": "meta.ml.gates", "setting": "meta.ml.train"}[what]
            raise SkewlessError(f"{place} has the {what} {unknown[0]!r}", f"use one of {', '.join(known)} in {where}")


def _slice(entry: Any) -> Slice:
    """A slice as YAML writes it: a categorical feature, {column: ..., by: month}, or {column: ..., edges: [0, 15, 60]}."""
    if isinstance(entry, str):
        return Slice(entry, entry)
    by = entry.get("by", "band" if entry.get("edges") else "value")
    column = str(entry.get("column", ""))
    return Slice(
        str(entry.get("name", "month" if by == "month" else column)), column, by, tuple(float(edge) for edge in entry.get("edges", ()))
    )


def _require_slices(contract: Contract, place: str) -> None:
    for slice_ in contract.slices:
        fits = {
            "value": slice_.column in contract.categorical,
            "month": slice_.column == contract.only("time"),
            "band": slice_.column in contract.numerical and bool(slice_.edges) and list(slice_.edges) == sorted(set(slice_.edges)),
        }
        if not fits.get(slice_.by, False):
            raise SkewlessError(
                f"the slice {slice_.name!r} of {place} is neither a categorical feature, nor the month of the time column, "
                "nor a numerical feature with rising edges",
                "write carrier, {column: departed_at, by: month} or {column: delay_minutes, edges: [0, 15, 60]} in meta.ml.slices",
            )
