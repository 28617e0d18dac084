"""Compiled SQL, read with sqlglot: what a feature table may not do, and its projection for one request."""

from dataclasses import replace
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from ml.contract import Contract
from ml.contract import manifest as manifests
from ml.contract.request_rules import for_requests
from ml.contract.row_wise import DIALECT, not_of_one_row
from ml.errors import SkewlessError


def complete(contract: Contract, manifest: dict[str, Any]) -> Contract:
    """The contract with its online SQL and with the conditions of the rules that are enforced on requests.

    Raises:
        SkewlessError: for a feature table that is not an expression over one request row and its lookups.
    """
    node = manifests.features_node(manifest, contract.project)
    request = manifests.model_named(manifest, contract.request_relation)
    assert request is not None
    schema: dict[str, object] = {request["name"]: _column_types(request)}
    for name in contract.lookups:
        lookup = manifests.model_named(manifest, name) or next(n for n in manifest["nodes"].values() if n["name"] == name)
        schema[name] = _column_types(lookup)
    path = [model["compiled_code"] for model in manifests.checked_path(manifest, request)]
    rules = tuple(for_requests(rule, path, contract) for rule in contract.rules) if path else contract.rules
    return replace(contract, online_sql=online_sql(node["compiled_code"], contract, schema), rules=rules)


def online_sql(compiled: str, contract: Contract, schema: dict[str, object]) -> str:
    """The feature model projected to its key and features, over tables named as the request relation and the lookups."""
    relation = contract.features_relation
    tree = parsed(compiled, relation)
    _refuse(tree, relation)
    for join in tree.find_all(exp.Join):
        if join.args.get("using") or join.args.get("method"):
            raise SkewlessError(f"{relation} joins by shared names: {_short(join)}", "write the equal columns out: on request.a = lookup.b")
    _name_tables(tree, relation, schema)
    try:
        tree = qualify(tree, schema=schema, dialect=DIALECT, validate_qualify_columns=True)
    except sqlglot.errors.SqlglotError as error:
        raise SkewlessError(
            f"the SQL of {relation} cannot be followed to its inputs: {str(error).splitlines()[0]}",
            "give every column of a lookup its entry in YAML, and name the table of each column",
        ) from error
    _require_joins(tree, relation)
    outputs = {select.alias_or_name: select for select in tree.selects}  # type: ignore[attr-defined]
    key, features = contract.only("key"), [column.name for column in contract.features]
    for name in (key, *features):
        if name not in outputs:
            raise SkewlessError(f"the SQL of {relation} has no column {name}", "add it to the SQL, or take its entry out of the YAML")
    _require_plain_key(tree, key, schema, relation)
    without_key = tree.copy()
    without_key.set("expressions", [outputs[name].copy() for name in features])
    _require_inputs(pushdown_projections(without_key), contract, schema)
    tree.set("expressions", [outputs[name] for name in (key, *features)])
    return pushdown_projections(tree).sql(dialect=DIALECT, pretty=True)


def parsed(sql: str, relation: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(sql, read=DIALECT)
    except sqlglot.errors.SqlglotError as error:
        raise SkewlessError(
            f"the SQL of {relation} cannot be read: {str(error).splitlines()[0]}", "write it in SQL that DuckDB and sqlglot both read"
        ) from error


def _refuse(tree: exp.Expr, relation: str) -> None:
    found = not_of_one_row(tree)
    if found is not None:
        what, where = found
        raise SkewlessError(
            f"{relation} has {what}: {_short(where)}", "compute it in a model before, and join that as a lookup by equality"
        )


def _name_tables(tree: exp.Expr, relation: str, schema: dict[str, object]) -> None:
    """Take database and schema off every table, which must be the request relation, a lookup, or a CTE of the query."""
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not table.db and table.name in own and isinstance(table.this, exp.Identifier):
            continue
        if not table.db or table.name not in schema:
            raise SkewlessError(
                f"{relation} reads {_short(table)}, which is neither its request relation nor a lookup", "reach it with ref()"
            )
        table.set("db", None)
        table.set("catalog", None)


def _require_joins(tree: exp.Expr, relation: str) -> None:
    """Only a left join of a lookup, by columns of it that equal columns from before, keeps every request row as it is."""
    for join in tree.find_all(exp.Join):
        joined, condition = join.this.alias_or_name, join.args.get("on")
        whole = condition.unnest() if isinstance(condition, exp.Expr) else exp.true()
        parts = [part.unnest() for part in (whole.flatten() if isinstance(whole, exp.And) else [whole])]
        equal = all(
            isinstance(part, exp.EQ)
            and isinstance(part.left, exp.Column)
            and isinstance(part.right, exp.Column)
            and (part.left.table == joined) != (part.right.table == joined)
            for part in parts
        )
        if join.side != "LEFT" or not equal:
            raise SkewlessError(
                f"{relation} joins other than by a left join on equal columns: {_short(join)}",
                "join a lookup, by columns of its own that equal columns of the request",
            )


def _require_plain_key(tree: exp.Expr, key: str, schema: dict[str, object], relation: str) -> None:
    """The key passes through untouched: online it numbers the rows."""
    for node in lineage(key, tree.copy(), schema=schema, dialect=DIALECT).walk():
        plain = node.expression.unalias()
        if not isinstance(plain, (exp.Column, exp.Table, exp.Star)):
            raise SkewlessError(f"{relation} changes its key {key}: {_short(node.expression)}", "select the key as it is")


def _require_inputs(tree: exp.Expr, contract: Contract, schema: dict[str, object]) -> None:
    """What features need of the request relation is its inputs, and neither the key nor anything else."""
    allowed = {column.name for column in contract.inputs}
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if not isinstance(source, exp.Table) or source.name != contract.request_relation or column.name in allowed:
                continue
            users = [feature.name for feature in contract.features if _descends(feature.name, column.name, tree, schema)]
            named = f"the feature {', '.join(users)}" if users else f"a join of {contract.features_relation}"
            if column.name == contract.only("key"):
                raise SkewlessError(f"{named} reads the key {column.name}", "a key says nothing about new rows; leave it out")
            raise SkewlessError(
                f"{named} reads {contract.request_relation}.{column.name}, which no request has",
                f"give {column.name} the role input if a request can carry it, or leave it out of the feature",
            )


def _descends(feature: str, column: str, tree: exp.Expr, schema: dict[str, object]) -> bool:
    root = lineage(feature, tree.copy(), schema=schema, dialect=DIALECT)
    return any(node.name.split(".")[-1].strip('"') == column and isinstance(node.source, exp.Table) for node in root.walk())


def _column_types(node: dict[str, Any]) -> dict[str, str]:
    if not node["columns"]:
        raise SkewlessError(
            f"the lookup {node['name']} has no columns in its YAML", "list them with their data_type; the online SQL needs them"
        )
    return {name: (entry.get("data_type") or "varchar") for name, entry in node["columns"].items()}


def _short(expression: exp.Expr) -> str:
    text = " ".join(expression.sql(dialect=DIALECT).split())
    return text if len(text) <= 100 else text[:97] + "..."
