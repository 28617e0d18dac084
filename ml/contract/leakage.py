"""When a value is known: no input and no feature may descend from a column that only the outcome brings.

Every column of a staging model says `available: request` (known when the question is asked) or `available: outcome` (known
only afterwards); there is no default. The way from a feature to staging is read from the compiled SQL.
The one exception is a fitted lookup: it may read outcomes, of the train split alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope, traverse_scope

from ml.contract import Contract
from ml.contract import manifest as manifests
from ml.contract.online_sql import parsed
from ml.contract.row_wise import DIALECT
from ml.errors import SkewlessError

PROVENANCE = ("raw_file", "raw_row", "raw_load_id")  # what ingest adds to the columns of a raw table


@dataclass(frozen=True)
class Origin:
    """A staging column that a value descends from, and when it is known."""

    model: str
    column: str
    available: str


def require_known(contract: Contract, manifest: dict[str, Any]) -> dict[str, tuple[Origin, ...]]:
    """The staging columns behind each input and feature, none of them known only with the outcome.

    Raises:
        SkewlessError: naming the feature or input, and the column that it must not descend from; the lookup that
            reads more than the train split; or the staging column that does not say when it is known.
    """
    _require_said(manifest, contract.project)
    tracer = _Tracer(manifest, contract)
    target = contract.only("target")
    if not any(origin.available == "outcome" for origin in tracer.origins(contract.features_relation, target)):
        raise SkewlessError(
            f"nothing says when the target {target} is known: it descends from no staging column with the meta {{available: outcome}}",
            "declare the columns of staging that only the outcome brings, so that no feature can read them",
        )
    found: dict[str, tuple[Origin, ...]] = {}
    wanted = [(contract.request_relation, "input", column.name) for column in contract.inputs]
    wanted += [(contract.features_relation, "feature", column.name) for column in contract.features]
    for relation, role, name in wanted:
        found[name] = tuple(sorted(set(tracer.origins(relation, name)), key=lambda origin: (origin.model, origin.column)))
        for origin in found[name]:
            if origin.available == "outcome":
                raise SkewlessError(
                    f"the {role} {name} descends from {origin.model}.{origin.column}, which is known only with the outcome",
                    "leave it out, or make it a statistic of the train split in a fitted lookup",
                )
    return found


def _require_said(manifest: dict[str, Any], project: str) -> None:
    """Every column of every staging model says when it is known: those with an entry, and those that only its SQL has."""
    for node in manifests.models(manifest):
        if manifests.is_staging(node) and node["original_file_path"].startswith(f"models/{project}/"):
            for column in [*node["columns"], *_selected(node, manifest)]:
                manifests.available(node, column)


def _selected(node: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    """The columns that the SQL of a staging model selects; a star over a source has the source's columns."""
    tree = parsed(node["compiled_code"], node["name"])
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    sources = [manifest["sources"][name] for name in node["depends_on"].get("nodes", []) if name.startswith("source.")]
    raw = dict.fromkeys((*(name for source in sources for name in source["columns"]), *PROVENANCE), "varchar")
    described = {entry["name"]: dict.fromkeys(entry["columns"], "varchar") for entry in manifest["nodes"].values() if "columns" in entry}
    schema: dict[str, object] = {}
    for number, table in enumerate(list(tree.find_all(exp.Table))):
        if not (table.name in own and not table.db):
            columns = described.get(table.name, raw)
            table.replace(exp.table_(f"read_{number}", alias=table.alias_or_name or None))  # it may be a path to Parquet files
            if columns:
                schema[f"read_{number}"] = columns
    try:
        qualified = qualify(tree, schema=schema, dialect=DIALECT, validate_qualify_columns=False)
    except SqlglotError as error:
        raise SkewlessError(f"the SQL of {node['name']} cannot be read: {error}", "list the columns in its last select") from error
    names = qualified.named_selects if isinstance(qualified, exp.Query) else ["*"]
    if "*" in names:
        raise SkewlessError(f"{manifests.place(node)}: its last select has a star whose columns are not known", "list the columns by name")
    return names


class _Tracer:
    """Follows columns through the models of a manifest, each model parsed once."""

    def __init__(self, manifest: dict[str, Any], contract: Contract) -> None:
        self._contract = contract
        self._manifest = manifest
        self._nodes = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")}
        self._scopes: dict[str, Scope] = {}
        self._columns: dict[str, list[str]] = {}
        self._known: dict[tuple[str, str], tuple[Origin, ...]] = {}

    def origins(self, relation: str, column: str) -> tuple[Origin, ...]:
        """The staging columns that a column of a model descends from."""
        place = (relation, column)
        if place not in self._known:
            self._known[place] = tuple(self._trace(relation, column))
        return self._known[place]

    def _trace(self, relation: str, column: str) -> Iterator[Origin]:
        node = self._nodes[relation]
        if manifests.is_staging(node):
            yield Origin(relation, column, manifests.available(node, column))
            return
        if self._is_fitted(node):
            self._require_train(node)
            return
        if node["resource_type"] == "seed":
            return
        scope = self._scope(relation)
        try:
            root = lineage(column, scope.expression, {}, scope=scope, dialect=DIALECT, copy=False)
        except (SqlglotError, ValueError) as error:
            raise SkewlessError(
                f"{relation}.{column} cannot be followed to its sources: {str(error).splitlines()[0]}",
                f"select {column} by name in {relation}, and give every column of the seeds that it reads an entry",
            ) from error
        for leaf in root.walk():
            if isinstance(leaf.source, exp.Table) and leaf.source.name in self._nodes:
                yield from self.origins(leaf.source.name, leaf.name.split(".")[-1].strip('"'))

    def _is_fitted(self, node: dict[str, Any]) -> bool:
        """What is computed from the rows that it will be joined to: a lookup, or a model on the way to one."""
        if node["resource_type"] != "model" or node["name"] == self._contract.features_relation:
            return False
        return self._contract.request_relation in {parent["name"] for parent in manifests.parents(self._manifest, node)}

    def _require_train(self, node: dict[str, Any]) -> None:
        """Every select from the request relation keeps to the train split, in its own WHERE."""
        request = self._nodes[self._contract.request_relation]
        split = next(name for name, entry in request["columns"].items() if manifests.column_meta(request, entry).role == "split")
        for scope in traverse_scope(parsed(node["compiled_code"], node["name"])):
            reads = any(isinstance(source, exp.Table) and source.name == request["name"] for source in scope.sources.values())
            if reads and not _keeps_to_train(scope.expression, split):
                raise SkewlessError(
                    f"{node['name']} is fitted on more than the train split of {request['name']}",
                    f"add to that select: where {split} = 'train'",
                )

    def _scope(self, relation: str) -> Scope:
        if relation not in self._scopes:
            node = self._nodes[relation]
            tree = parsed(node["compiled_code"], relation)
            own = {cte.alias for cte in tree.find_all(exp.CTE)}
            schema: dict[str, object] = {}
            for table in tree.find_all(exp.Table):
                if table.name in own and not table.db:
                    continue
                table.set("db", None)
                table.set("catalog", None)
                if table.name in self._nodes:
                    schema[table.name] = dict.fromkeys(self._outputs(table.name), "varchar")
            try:
                scope = build_scope(_with_join_keys(qualify(tree, schema=schema, dialect=DIALECT, validate_qualify_columns=False)))
            except SqlglotError as error:
                raise SkewlessError(
                    f"the SQL of {relation} cannot be followed to its sources: {str(error).splitlines()[0]}",
                    "give every column of the seeds that it reads an entry, and name the table of each column",
                ) from error
            if scope is None or not isinstance(scope.expression, exp.Query):
                raise SkewlessError(f"the SQL of {relation} cannot be followed to its sources", "write it as a select")
            self._scopes[relation] = scope
            self._columns[relation] = scope.expression.named_selects
        return self._scopes[relation]

    def _outputs(self, relation: str) -> list[str]:
        """The columns of a model: staging and seeds list them in YAML, others name them in their SQL."""
        if relation not in self._columns:
            node = self._nodes[relation]
            if node["resource_type"] == "seed" or manifests.is_staging(node):
                self._columns[relation] = list(node["columns"])
            else:
                self._scope(relation)  # which notes them
        return self._columns[relation]


def _with_join_keys(tree: exp.Expr) -> exp.Expr:
    """The tree with each column of a joined table written as a function of the columns that it was looked up by.

    It says the same of where values come from, and could not be run: joining by an outcome leaks it as surely as selecting it.
    """
    for select in tree.find_all(exp.Select):
        for join in select.args.get("joins") or []:
            joined, condition = join.this.alias_or_name, join.args.get("on")
            keys = [column for column in condition.find_all(exp.Column) if column.table != joined] if condition else []
            for projection in select.expressions if keys else []:
                for column in [column for column in projection.find_all(exp.Column) if column.table == joined]:
                    looked_up = exp.Anonymous(this="looked_up", expressions=[column.copy(), *(key.copy() for key in keys)])
                    column.replace(looked_up) if column is not projection else projection.replace(exp.alias_(looked_up, column.name))
    return tree


def _keeps_to_train(select: exp.Expr, split: str) -> bool:
    where = select.args.get("where")
    if where is None:
        return False
    whole = where.this.unnest()
    for part in [part.unnest() for part in whole.flatten()] if isinstance(whole, exp.And) else [whole]:
        if isinstance(part, exp.EQ):
            column = part.find(exp.Column)
            literal = part.find(exp.Literal)
            if column is not None and column.name == split and literal is not None and literal.this == "train":
                return True
    return False
