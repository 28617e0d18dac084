"""The Athena side as far as it can be known without an account: every model compiles, and its SQL parses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

pytestmark = pytest.mark.dbt


@pytest.fixture(scope="module")
def compiled(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The compiled SQL of every model for Athena, by name. No key is real, and no connection is made."""
    target = tmp_path_factory.mktemp("athena")
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "SKEWLESS_ROOT": str(target),
        "DBT_LOG_PATH": str(target),
    }
    dbt = str(Path(sys.executable).with_name("dbt"))
    command = [dbt, "compile", "--quiet", "--target", "athena", "--no-introspect", "--no-populate-cache", "--target-path", str(target)]
    subprocess.run(command, cwd=checkout, env=environment, check=True, timeout=300)
    return {path.stem: path.read_text() for path in (target / "compiled").rglob("*.sql") if ".yml" not in str(path)}


def test_every_model_is_there(checkout: Path, compiled: dict[str, str]) -> None:
    assert {path.stem for path in (checkout / "models").rglob("*.sql")} <= set(compiled)


def test_every_model_parses_as_athenas_sql(compiled: dict[str, str]) -> None:
    for name, sql in compiled.items():
        tree = sqlglot.parse_one(sql, read="athena")
        assert isinstance(tree, exp.Query), name


def test_nothing_that_only_duckdb_reads_is_left(compiled: dict[str, str]) -> None:
    forbidden = re.compile(
        r"::|\bqualify\b|group by all|md5_number|strftime|try_strptime|isodow|\bilike\b|regexp_matches|to_minutes|\bepoch\(", re.IGNORECASE
    )
    assert not {name: forbidden.findall(sql) for name, sql in compiled.items() if forbidden.search(sql)}


def test_the_hash_is_the_recipe_that_was_proven_equal(compiled: dict[str, str]) -> None:
    recipe = "bitwise_and(from_big_endian_64(reverse(substr(md5(to_utf8('skewless-split:' || flight_date)), 1, 8))), 1048575)"
    assert recipe in compiled["flights_clean"]
