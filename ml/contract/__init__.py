"""A dbt manifest → Contract: the columns of a project, their roles and kinds, its inputs, rules, lookups and online SQL."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from ml.contract.declared import require_valid
from ml.contract.manifest import checked_node, column_meta, features_node, ml_meta, model_named, parents
from ml.contract.meta import Kind, SliceMeta
from ml.errors import GateError, SkewlessError

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
    range: tuple[float, float] | None = None
    is_present: bool = False


@dataclass(frozen=True)
class Slice:
    """Parts of the rows whose errors are reported separately, `by` value, month or band; `edges` are those of bands."""

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
        """A request row, from the examples of the inputs."""
        return {column.name: column.example for column in self.inputs if column.example is not None}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)


def from_json(text: str) -> Contract:
    """The contract that `to_json` wrote."""
    value = json.loads(text)
    for name in ("columns", "inputs"):
        value[name] = tuple(Column(**{**column, "range": _pair(column.get("range"))}) for column in value[name])
    value["rules"] = tuple(Rule(**{**rule, "inputs": tuple(rule["inputs"])}) for rule in value["rules"])
    value["lookups"] = tuple(value["lookups"])
    value["slices"] = tuple(Slice(**{**slice_, "edges": tuple(slice_["edges"])}) for slice_ in value["slices"])
    return Contract(**value)


def _pair(value: list[float] | None) -> tuple[float, float] | None:
    return (value[0], value[1]) if value else None


def load(path: Path) -> Contract:
    """The contract in a file.

    Raises:
        GateError: for one that another version of this code wrote.
    """
    try:
        return from_json(path.read_text())
    except (TypeError, KeyError, ValueError) as error:
        raise GateError(f"{path} was written by another version of Skewless: {error}", "make it again: skewless run PROJECT") from error


def from_manifest(manifest: dict[str, Any], project: str) -> Contract:
    """The contract that a compiled manifest declares for a project; `lineage.complete` adds what its SQL says.

    Raises:
        SkewlessError: for a declaration that no network could be trained from, naming the entry.
    """
    require_valid(manifest, project)
    node = features_node(manifest, project)
    settings = ml_meta(node)
    request = model_named(manifest, settings.request)
    if request is None:
        raise SkewlessError(
            f"the entry of {node['name']} names the request relation {settings.request!r}, which is not a model",
            "set meta.ml.request to the name of one",
        )
    contract = Contract(
        project=project,
        task=settings.task,
        features_relation=node["name"],
        request_relation=request["name"],
        columns=_columns(node),
        inputs=tuple(column for column in _columns(request) if column.role == "input"),
        rules=_rules(checked_node(manifest, request)),
        lookups=tuple(sorted(parent["name"] for parent in parents(manifest, node) if parent["name"] != request["name"])),
        baseline=settings.baseline,
        residual=settings.residual,
        slices=tuple(_slice(entry) for entry in settings.slices),
        gates=_given(settings.gates),
        train=_given(settings.train),
        drift=asdict(settings.drift),
    )
    _require_whole(contract, request["name"])
    return contract


def column_type(entry: dict[str, Any], place: str) -> str:
    written = (entry.get("data_type") or "").lower().split("(")[0].strip()
    if written not in TYPES:
        raise SkewlessError(f"{place}.{entry['name']} has the data_type {written!r}", f"use one of {', '.join(TYPES)}")
    return TYPES[written]


def _given(block: Any) -> dict[str, Any]:
    """The keys of a block that were written, without those left to a default of the step that reads them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(block).items() if value is not None}


def _columns(node: dict[str, Any]) -> tuple[Column, ...]:
    columns = []
    for entry in node["columns"].values():
        about = column_meta(node, entry)
        if about.role is None:
            continue
        columns.append(
            Column(
                name=entry["name"],
                type=column_type(entry, node["name"]),
                role=about.role,
                description=entry.get("description", ""),
                kind=about.kind or "",
                unit=about.unit or "",
                required=about.required,
                example=about.example,
                drift=about.drift,
                family=about.family or "",
                range=about.range,
                is_present=about.is_present,
            )
        )
    return tuple(columns)


def _rules(node: dict[str, Any] | None) -> tuple[Rule, ...]:
    """The rules of a checked model, in the order of its YAML."""
    rules = []
    for entry in node["columns"].values() if node else ():
        about = column_meta(node, entry).rule if node else None
        if about:
            rules.append(Rule(entry["name"], about.dimension, about.budget, about.action, entry.get("description", "")))
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
        if not column.kind:
            raise SkewlessError(f"the feature {place}.{column.name} has no kind", f"give it one of {', '.join(get_args(Kind))}")
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
            f"the baseline {contract.baseline!r} of {place} is not a numerical feature", "name one of them in meta.ml.baseline"
        )
    if contract.residual and (contract.baseline is None or contract.task != "regression"):
        raise SkewlessError(f"{place} asks for a residual without a baseline to subtract", "set meta.ml.baseline, or leave residual out")
    _require_slices(contract, place)


def _slice(entry: str | SliceMeta) -> Slice:
    """A slice as YAML writes it: a categorical feature, {column: ..., by: month}, or {column: ..., edges: [0, 15, 60]}."""
    if isinstance(entry, str):
        return Slice(entry, entry)
    by = entry.by or ("band" if entry.edges else "value")
    return Slice(entry.name or ("month" if by == "month" else entry.column), entry.column, by, entry.edges)


def _require_slices(contract: Contract, place: str) -> None:
    for slice_ in contract.slices:
        fits = {
            "value": slice_.column in contract.categorical,
            "month": slice_.column == contract.only("time"),
            "band": slice_.column in contract.numerical and bool(slice_.edges),
        }
        if not fits.get(slice_.by, False):
            raise SkewlessError(
                f"the slice {slice_.name!r} of {place} is neither a categorical feature, nor the month of the time column, "
                "nor a numerical feature with rising edges",
                "write FEATURE, {column: TIME_COLUMN, by: month} or {column: FEATURE, edges: [0, 15, 60]} in meta.ml.slices",
            )
