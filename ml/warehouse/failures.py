"""What a failed dbt command reports: which column a contract refuses, which rule is over budget in which load, which rows fail a test."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ml import storage
from ml.contract.manifest import ancestors
from ml.errors import GateError, SkewlessError
from ml.storage import Storage
from ml.warehouse import Connection, rows

MAX_FAILURES = 8  # nodes that are reported; the others are counted
MAX_READ = 200  # failing rows that are read, so that the worst can be chosen
MAX_ROWS = 5  # failing rows that are reported
MAX_LINES = 40  # lines of one of dbt's messages
MAX_VALUE = 80  # characters of a value in a failing row

Opened = Callable[[], AbstractContextManager[Connection]] | None


@dataclass(frozen=True)
class Failure:
    """A red node: what is wrong, in one or more lines, and what to do about it."""

    says: str
    remedy: str


def error(where: Storage, verb: str, manifest: dict[str, Any], bad: list[dict[str, Any]], opened: Opened, log: str) -> SkewlessError | None:
    """What to raise for the red results of `dbt VERB`: a GateError where only tests are red. None where all are skipped.

    `opened` opens the warehouse to read the rows that fail; None where there is none to read.
    """
    red = [result for result in bad if result["status"] != "skipped"]
    if not red:
        return None
    found = [_failure(where, manifest, result, opened) for result in red[:MAX_FAILURES]]
    lines = [failure.says for failure in found]
    if len(red) > MAX_FAILURES:
        lines.append(f"and {len(red) - MAX_FAILURES} more red nodes")
    if skipped := len(bad) - len(red):
        lines.append(f"not run, because they depend on what failed: {skipped}")
    only_tests = all(result["status"] == "fail" for result in red)
    heading = f"{len(red)} red test{'s' if len(red) > 1 else ''}" if only_tests else f"dbt {verb} failed"
    message = heading + ":" + "".join("\n  " + line.replace("\n", "\n    ") for line in lines)
    hint = "\n      ".join(dict.fromkeys([*(failure.remedy for failure in found if failure.remedy), log]))
    return GateError(message, hint) if only_tests else SkewlessError(message, hint)


def _failure(where: Storage, manifest: dict[str, Any], result: dict[str, Any], opened: Opened) -> Failure:
    name = result["unique_id"]
    node = manifest["nodes"].get(name) or manifest.get("unit_tests", {}).get(name)
    if node is None:
        return Failure(f"{name}: {_message(result)}", "")
    path = node["original_file_path"]
    if name.startswith("unit_test."):
        says = f"unit test {node['name']} of {node['model']} ({path}) is red: {_message(result)}"
        return Failure(says, f"correct the SQL of {node['model']}, or what the unit test expects in {path}")
    if node["resource_type"] == "test" and result["status"] == "fail":
        return _red_test(where, manifest, node, result, opened)
    if mismatches := _mismatches(result["message"] or ""):
        contract = _file(node.get("patch_path")) or path
        columns = "\n".join(f"column {column}: {said}" for column, said in mismatches)
        return Failure(f"{node['name']} does not keep its contract\n{columns}", f"make {path} and {contract} agree on these columns")
    return Failure(f"{node['name']} ({path}): {_message(result)}", f"correct {path}")


def _mismatches(message: str) -> list[tuple[str, str]]:
    """The columns that dbt's table of an enforced contract lists, and what differs."""
    if "enforced contract that failed" not in message:
        return []
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in message.splitlines() if line.strip().startswith("|")]
    found = []
    for column, defined, declared, reason in (row for row in cells[2:] if len(row) == 4):
        if defined and declared:
            said = f"the SQL gives {defined}, the contract says {declared}"
        else:
            said = f"{reason} (the SQL gives {defined or 'none'}, the contract says {declared or 'none'})"
        found.append((column, said))
    return found


def _red_test(where: Storage, manifest: dict[str, Any], node: dict[str, Any], result: dict[str, Any], opened: Opened) -> Failure:
    metadata = node.get("test_metadata") or {}
    kind = metadata.get("name")
    tested = manifest["nodes"].get(node.get("attached_node") or "")
    count = result["failures"] or 0
    failing = _failing_rows(result, opened)
    for row in failing:
        if row.get("raw_load_id"):
            row["raw_load_id"] = _load(where, row["raw_load_id"])
    if kind == "within_budget" and tested and failing:
        return _over_budget(manifest, tested, failing, count)
    on = f" of {tested['name']}{'.' + node['column_name'] if node.get('column_name') else ''}" if tested else ""
    title = f"{kind or node['name']}{on}"
    if kind in ("books_balance", "books_balance_by_load") and tested and failing:
        lines = [f"load {row.pop('raw_load_id')}: {_listed(row)}" for row in failing[:MAX_ROWS]]
        says = "\n".join([f"{title}: the rows of {count} load{'s' if count > 1 else ''} do not add up", *lines, *_more(count)])
        remedy = (
            f"a row is lost or repeated between {tested['name']} and the clean or quarantine relation: look at their joins and conditions"
        )
        return Failure(says, remedy)
    lines = [_listed(row) for row in failing[:MAX_ROWS]]
    says = "\n".join([f"{title}: {count} row{'s' if count != 1 else ''} fail{'s' if count == 1 else ''}", *lines, *_more(count, failing)])
    source = tested["original_file_path"] if tested else node["original_file_path"]
    query = where.uri(where.own("target", "compiled", str(node["package_name"]), node["original_file_path"], node["path"]))
    if not tested:
        query = where.uri(where.own("target", "compiled", str(node["package_name"]), node["original_file_path"]))
    return Failure(says, f"correct {source} or what it reads; the query of the failing rows is {query}")


def _over_budget(manifest: dict[str, Any], tested: dict[str, Any], failing: list[dict[str, Any]], count: int) -> Failure:
    """A line for each rule and load that is over its budget, the worst first."""
    failing = sorted(failing, key=lambda row: (-row["broken_share"], row["rule_name"]))
    lines = [
        f"rule {row['rule_name']} of {tested['name']}: load {row['raw_load_id']} breaks it in {row['broken_count']:,} of "
        f"{row['row_count']:,} rows, {row['broken_share']:.3%}; its budget is {row['budget']:.3%}"
        for row in failing[:MAX_ROWS]
    ]
    above = [manifest["nodes"][name] for name in sorted(ancestors(manifest, tested["unique_id"]))]
    seeds = [node["original_file_path"] for node in above if node["resource_type"] == "seed" and node["name"].endswith("exemptions")]
    remedies = []
    for rule in dict.fromkeys(row["rule_name"] for row in failing[:MAX_ROWS]):
        declaring = next((node for node in above if f"ok_{rule}" in node.get("columns", {}) and node["resource_type"] == "model"), None)
        if declaring:
            budget = f"the budget of ok_{rule} in {_file(declaring.get('patch_path'))}"
            cause = f"correct the file and ingest it again, or correct the rule in {declaring['original_file_path']}"
        else:
            budget = f"{rule}_budget under vars in dbt_project.yml"
            cause = "correct the file and ingest it again"
        accept = f"raise {budget}" + "".join(f", or exempt the load in {seed}" for seed in seeds)
        remedies.append(f"{rule}: {cause}; if the loss is accepted, {accept}")
    return Failure("\n".join([*lines, *_more(count, failing)]), "\n      ".join(remedies))


def _failing_rows(result: dict[str, Any], opened: Opened) -> list[dict[str, Any]]:
    """The first rows of a red test; none where they cannot be read, which must not hide that the test is red."""
    if opened is None or not result.get("compiled_code"):
        return []
    try:
        with opened() as warehouse:
            return rows(warehouse, f"select * from (\n{result['compiled_code']}\n) as failing limit {MAX_READ}")
    except SkewlessError:
        return []


def _load(where: Storage, load_id: str) -> str:
    """A load with the name of its file, where ingest has recorded one."""
    for project in storage.names(where, "raw"):
        for table in storage.names(where, f"raw/{project}/_loads"):
            if record := storage.read_json(where, f"raw/{project}/_loads/{table}/{load_id}.json"):
                return f"{load_id} ({record['file']})"
    return load_id


def _listed(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_short(value)}" for name, value in row.items())


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def _more(count: int, failing: list[dict[str, Any]] | None = None) -> list[str]:
    shown = MAX_ROWS if failing is None else min(MAX_ROWS, len(failing))
    return [f"and {count - shown} more"] if 0 < shown < count else []


def _message(result: dict[str, Any]) -> str:
    """dbt's message without the names of the macros that it went through; very long ones end at a line, dbt's log has the rest."""
    text = re.split(r"\n\s*> in macro ", result["message"] or result["status"])[0].strip()
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"({len(lines) - MAX_LINES} more lines are in dbt's log)"]
    return "\n".join(lines)


def _file(patch_path: str | None) -> str:
    """A YAML file from dbt's `package://path`."""
    return str(PurePosixPath(patch_path.split("://", 1)[1])) if patch_path else ""
