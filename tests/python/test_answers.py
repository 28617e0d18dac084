"""One way of a request: its order is written once, and all that answers goes through it."""

import ast
from pathlib import Path

import pytest

from ml import answers


def calls(path: Path) -> set[str]:
    """What a file calls, as it is written there: `parse`, `bundle.online.judge`."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def python_files(checkout: Path) -> list[Path]:
    return [path for folder in ("ml", "serving") for path in sorted((checkout / folder).rglob("*.py"))]


def callers(checkout: Path, *endings: str) -> set[str]:
    """The files that call something whose name ends so."""
    return {path.relative_to(checkout).as_posix() for path in python_files(checkout) if any(call.endswith(endings) for call in calls(path))}


@pytest.mark.parametrize("part", [".judge", ".features", "parse"])
def test_only_answers_calls_the_parts_of_the_request_path(checkout: Path, part: str) -> None:
    named = {".features": ("online.features",), ".judge": (".judge",), "parse": ("online.parse.parse",)}[part]
    assert callers(checkout, *named) <= {"ml/answers.py"}
    importing = {
        path.relative_to(checkout).as_posix()
        for path in python_files(checkout)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "ml.online.parse" and "parse" in {alias.name for alias in node.names}
    }
    assert importing == {"ml/answers.py"}


def test_everybody_who_answers_requests_calls_answer(checkout: Path) -> None:
    assert callers(checkout, "answers.answer") == {"ml/batch.py", "ml/bundle/receipt.py", "ml/gate.py", "serving/app.py"}


def test_one_function_turns_a_warehouse_row_into_a_request(checkout: Path) -> None:
    assert callers(checkout, "request_row") == {"ml/batch.py", "ml/bundle/receipt.py", "ml/gate.py", "ml/smoke_test.py"}
    writing_iso = {path.relative_to(checkout).as_posix() for path in python_files(checkout) if "value.isoformat()" in path.read_text()}
    assert writing_iso == {"ml/online/parse.py"}


@pytest.mark.parametrize("body", ["NaN", '{"a": Infinity}', "[-Infinity]", "{", ""])
def test_what_is_no_json_is_refused(body: str) -> None:
    with pytest.raises(ValueError):
        answers.decode(body)
