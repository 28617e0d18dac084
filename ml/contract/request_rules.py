"""Rules for requests: the conditions of a checked model that can be enforced on a request."""

from dataclasses import replace

import sqlglot
from sqlglot import exp

from ml.contract import Contract, Rule
from ml.contract.row_wise import DIALECT, not_of_one_row


def for_requests(rule: Rule, path: list[str], contract: Contract) -> Rule:
    """The rule with its condition, where that reads nothing but inputs, and those reach the request relation unchanged.

    `path` is the compiled SQL of the models from the one with the rule to the request relation, both included.
    When unsure it stays in the warehouse: `skewless check` lists a rule that is missing on requests; a wrong one would refuse good rows.
    """
    steps = _steps(path[0])
    for index, select in enumerate(steps):
        for projection in select.expressions:
            if not isinstance(projection, exp.Alias) or projection.alias != rule.name:
                continue
            condition = projection.this.copy()
            names = {column.name for column in condition.find_all(exp.Column)}
            if not names or not names <= {column.name for column in contract.inputs}:
                return rule
            if select.args.get("joins") or not_of_one_row(condition) is not None:
                return rule
            after = [*steps[index:], *(step for sql in path[1:] for step in _steps(sql))]
            if not all(_passes(step, name) for step in after for name in names):
                return rule
            for column in condition.find_all(exp.Column):
                column.set("table", None)
            ordered = tuple(column.name for column in contract.inputs if column.name in names)
            return replace(rule, sql=condition.sql(dialect=DIALECT), inputs=ordered)
    return rule


def _steps(sql: str) -> list[exp.Select]:
    """The selects of a query in the order in which rows pass them: its CTEs as written, then itself."""
    tree = sqlglot.parse_one(sql, read=DIALECT)
    ctes = [cte.this for cte in tree.ctes] if isinstance(tree, exp.Query) else []
    return [step for step in (*ctes, tree) if isinstance(step, exp.Select)]


def _passes(select: exp.Select, name: str) -> bool:
    """Whether a column leaves a select under the name and with the value that it came with."""
    if select.args.get("joins"):
        return False
    passes = False
    for projection in select.expressions:
        if isinstance(projection, exp.Alias) and projection.alias == name:
            return False
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            if any(star.args.get(change) for change in ("except_", "except", "replace", "rename")):
                return False
            passes = True
        elif isinstance(projection, exp.Column) and projection.name == name:
            passes = True
    return passes
