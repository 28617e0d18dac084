"""Compiled SQL, read with sqlglot: what a feature table may not do, its projection for one request, rules for the door."""

from dataclasses import replace
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from ml import contract as contracts
from ml.contract import Contract, Rule
from ml.errors import SkewlessError

DIALECT = "duckdb"
VOLATILE = {"random", "now", "uuid", "gen_random_uuid", "today", "get_current_timestamp", "current_localtimestamp", "nextval"}
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
    (exp.Qualify, "a qualify, which drops rows"),
    (exp.Unnest, "an unnest"),
    (exp.Lateral, "a lateral join"),
    (exp.AtTimeZone, "a time-zone conversion"),
    (exp.Rand, "a random number"),
    (exp.CurrentDate, "the clock"),
    (exp.CurrentTimestamp, "the clock"),
    (exp.CurrentTime, "the clock"),
)


def complete(contract: Contract, manifest: dict[str, Any]) -> Contract:
    """The contract with its online SQL and with the conditions of the rules that hold at the door.

    Raises:
        SkewlessError: for a feature table that is no expression over one request row and its lookups.
    """
    node = contracts.features_node(manifest, contract.project)
    request = contracts.model_named(manifest, contract.request_relation)
    assert request is not None
    schema: dict[str, object] = {request["name"]: _column_types(request)}
    for name in contract.lookups:
        lookup = contracts.model_named(manifest, name) or next(n for n in manifest["nodes"].values() if n["name"] == name)
        schema[name] = _column_types(lookup)
    checked = contracts.checked_node(manifest, request)
    rules = contract.rules
    if checked is not None:
        rules = tuple(_at_the_door(rule, checked["compiled_code"], request["compiled_code"], contract) for rule in rules)
    return replace(contract, online_sql=online_sql(node["compiled_code"], contract, schema), rules=rules)


def online_sql(compiled: str, contract: Contract, schema: dict[str, object]) -> str:
    """The feature model projected to its key and features, over tables named as the request relation and the lookups."""
    tree = sqlglot.parse_one(compiled, read=DIALECT)
    _refuse(tree, contract.features_relation)
    for table in tree.find_all(exp.Table):
        if table.db:
            if table.name not in schema:
                raise SkewlessError(
                    f"{contract.features_relation} reads {table.name}, which is neither its request relation nor a lookup",
                    "reach it with ref()",
                )
            table.set("db", None)
            table.set("catalog", None)
    try:
        tree = qualify(tree, schema=schema, dialect=DIALECT, validate_qualify_columns=True)
    except sqlglot.errors.SqlglotError as error:
        raise SkewlessError(
            f"the SQL of {contract.features_relation} cannot be followed to its inputs: {str(error).splitlines()[0]}",
            "give every column of a lookup its entry in YAML, and name the table of each column",
        ) from error
    outputs = {select.alias_or_name: select for select in tree.selects}  # type: ignore[attr-defined]
    wanted = [contract.only("key"), *(column.name for column in contract.features)]
    tree.set("expressions", [outputs[name] for name in wanted])
    tree = pushdown_projections(tree)
    _require_inputs(tree, contract, schema)
    return tree.sql(dialect=DIALECT, pretty=True)


def _refuse(tree: exp.Expr, relation: str) -> None:
    """Only expressions over one row, and left joins by equality, have the same meaning online."""
    for kind, what in NOT_OF_ONE_ROW:
        found = tree.find(kind)
        if found is not None:
            raise SkewlessError(
                f"{relation} has {what}: {_short(found)}", "compute it in a model before, and join that as a lookup by equality"
            )
    for function in tree.find_all(exp.Anonymous):
        if function.name.lower() in VOLATILE:
            raise SkewlessError(
                f"{relation} calls {function.name}(), which has another value every time",
                "features are functions of the inputs; use an input column",
            )
    for join in tree.find_all(exp.Join):
        condition = join.args.get("on")
        equal = condition is not None and all(
            isinstance(part, exp.EQ) and isinstance(part.left, exp.Column) and isinstance(part.right, exp.Column)
            for part in (condition.flatten() if isinstance(condition, exp.And) else [condition])
        )
        if join.side != "LEFT" or not equal:
            raise SkewlessError(
                f"{relation} joins otherwise than by a left join on equal columns: {_short(join)}",
                "only such a join keeps every request row",
            )


def _require_inputs(tree: exp.Expr, contract: Contract, schema: dict[str, object]) -> None:
    """What is left of the SQL may read the key, inputs and lookups, and nothing else of the request relation."""
    allowed = {contract.only("key"), *(column.name for column in contract.inputs)}
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if not isinstance(source, exp.Table) or source.name != contract.request_relation or column.name in allowed:
                continue
            users = [feature.name for feature in contract.features if _descends(feature.name, column.name, tree, schema, contract)]
            raise SkewlessError(
                f"the feature {', '.join(users) or '(in a join)'} reads {contract.request_relation}.{column.name}, which no request has",
                f"give {column.name} the role input if a request can carry it, or leave it out of the feature",
            )
    features = {column.name for column in contract.features}
    for scope in traverse_scope(tree):
        for select in scope.expression.selects:  # type: ignore[attr-defined]
            uses_key = any(column.name == contract.only("key") for column in select.find_all(exp.Column))
            if uses_key and select.alias_or_name in features:
                raise SkewlessError(
                    f"the feature {select.alias_or_name} reads the key {contract.only('key')}",
                    "a key says nothing about new rows; leave it out",
                )


def _descends(feature: str, column: str, tree: exp.Expr, schema: dict[str, object], contract: Contract) -> bool:
    root = lineage(feature, tree.copy(), schema=schema, dialect=DIALECT)
    return any(node.name.split(".")[-1].strip('"') == column and isinstance(node.source, exp.Table) for node in root.walk())


def _at_the_door(rule: Rule, checked_sql: str, request_sql: str, contract: Contract) -> Rule:
    """The rule with its condition, where that reads nothing but inputs which pass through unchanged."""
    inputs = {column.name for column in contract.inputs}
    for select in sqlglot.parse_one(checked_sql, read=DIALECT).find_all(exp.Select):
        for projection in select.expressions:
            if projection.alias_or_name != rule.name or not isinstance(projection, exp.Alias):
                continue
            condition = projection.this.copy()
            if any(condition.find(kind) for kind, _ in NOT_OF_ONE_ROW) or select.args.get("joins"):
                return rule
            names = {column.name for column in condition.find_all(exp.Column)}
            if not names or not names <= inputs:
                return rule
            if not all(_passes(select, name) and _passes_all(request_sql, name) for name in names):
                return rule
            for column in condition.find_all(exp.Column):
                column.set("table", None)
            ordered = tuple(column.name for column in contract.inputs if column.name in names)
            return replace(rule, sql=condition.sql(dialect=DIALECT), inputs=ordered)
    return rule


def _passes(select: exp.Select, name: str) -> bool:
    """Whether a column leaves a select under the name and with the value that it came with."""
    for projection in select.expressions:
        if isinstance(projection, exp.Alias) and projection.alias == name:
            return False
        if isinstance(projection, exp.Column) and (projection.name == name or isinstance(projection.this, exp.Star)):
            return True
        if isinstance(projection, exp.Star):
            return True
    return False


def _passes_all(sql: str, name: str) -> bool:
    return all(_passes(select, name) for select in sqlglot.parse_one(sql, read=DIALECT).find_all(exp.Select))


def _column_types(node: dict[str, Any]) -> dict[str, str]:
    if not node["columns"]:
        raise SkewlessError(
            f"the lookup {node['name']} has no columns in its YAML", "list them with their data_type; the online SQL needs them"
        )
    return {name: (entry.get("data_type") or "varchar") for name, entry in node["columns"].items()}


def _short(expression: exp.Expr) -> str:
    text = " ".join(expression.sql(dialect=DIALECT).split())
    return text if len(text) <= 100 else text[:97] + "..."
