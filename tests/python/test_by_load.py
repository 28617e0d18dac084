"""Tables that are incremental by load: old rows leave in the transaction that adds new ones, so that no build leaves a table torn."""

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

MODEL = """
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='sync_all_columns', pre_hook='{{ leave_old_loads() }}'
) }}
{%- set body = "select raw_load_id, cast(amount as " ~ var('type', 'integer') ~ ") as amount from raw_rows" -%}
{%- set wanted = '(select raw_load_id, max(version) as version from raw_rows group by raw_load_id)' -%}
with taken as ({{ body }} where {{ take_new_loads(wanted, local_md5(body)) }})
select
    taken.*,
    (select max(raw_rows.version) from raw_rows where raw_rows.raw_load_id = taken.raw_load_id) || '{{ local_md5(body) }}' as version
from taken
"""
PROFILE = "small: {target: duckdb, outputs: {duckdb: {type: duckdb, path: small.duckdb, schema: main, threads: 1}}}"
MACROS = ("take_new_loads", "leave_old_loads", "old_loads", "should_full_refresh", "is_incremental")


@pytest.fixture
def small(checkout: Path, tmp_path: Path) -> Path:
    """A dbt project with one table by load, over a table of raw rows that the tests write."""
    for name in ("models", "macros"):
        (tmp_path / name).mkdir()
    for name in MACROS:
        shutil.copy(checkout / "macros" / "shared" / f"{name}.sql", tmp_path / "macros")
    (tmp_path / "models" / "by_load.sql").write_text(MODEL)
    (tmp_path / "dbt_project.yml").write_text('name: small\nversion: "1.0.0"\nprofile: small\nflags: {send_anonymous_usage_stats: false}\n')
    (tmp_path / "profiles.yml").write_text(PROFILE)
    query(tmp_path, "create table raw_rows (raw_load_id varchar, amount varchar, version varchar)")
    query(tmp_path, "insert into raw_rows values ('a', '1', 'v1'), ('b', '2', 'v1'), ('c', '3', 'v1')")
    dbt_run(small=tmp_path)
    return tmp_path


def query(small: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(small / "small.duckdb")) as opened:
        return opened.execute(sql).fetchall()


def table(small: Path) -> list[tuple]:
    return query(small, "select raw_load_id, amount from by_load order by all")


def dbt_run(*arguments: str, small: Path, code: int = 0) -> str:
    command = [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", "run", "--profiles-dir", ".", *arguments]
    done = subprocess.run(command, cwd=small, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.mark.dbt
def test_changed_and_lost_loads_leave_and_a_build_that_fails_changes_nothing(small: Path) -> None:
    query(small, "update raw_rows set amount = 'x', version = 'v2' where raw_load_id = 'b'")
    query(small, "delete from raw_rows where raw_load_id = 'c'")
    assert "Could not convert" in dbt_run(small=small, code=1)
    assert table(small) == [("a", 1), ("b", 2), ("c", 3)]
    query(small, "update raw_rows set amount = '20' where raw_load_id = 'b'")
    dbt_run(small=small)
    assert table(small) == [("a", 1), ("b", 20)]


@pytest.mark.dbt
def test_where_every_load_changed_the_table_is_rebuilt_in_its_new_shape_and_the_old_one_stays_until_then(small: Path) -> None:
    query(small, "update raw_rows set amount = 'x', version = 'v2'")
    dbt_run(small=small, code=1)
    assert table(small) == [("a", 1), ("b", 2), ("c", 3)]
    dbt_run("--vars", "{type: varchar}", small=small)
    assert table(small) == [("a", "x"), ("b", "x"), ("c", "x")]
    assert query(small, "select count(*) from information_schema.tables") == [(2,)]


def test_no_condition_writes_while_it_is_rendered(checkout: Path) -> None:
    text = (checkout / "macros" / "shared" / "take_new_loads.sql").read_text()
    assert not [word for word in ("drop_relation", '"delete', '"truncate', '"insert', '"update') if word in text]
