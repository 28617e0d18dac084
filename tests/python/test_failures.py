"""dbt's own errors reach the user whole: which column, which rule and load, how much, and what to do; red tests exit with 3."""

from pathlib import Path

import pytest
from conftest import Checkout, make_toy

from ml.warehouse import failures

CHECKED = "models/toy/intermediate/int_parcels_checked"
UNIT_TEST = """
unit_tests:
  - name: a_closed_depot_is_marked
    model: int_parcels_checked
    given:
      - input: ref('stg_toy__parcels')
        rows:
          - {parcel_id: a, depot: A}
          - {parcel_id: b, depot: Z}
    expect:
      rows:
        - {parcel_id: a, ok_depot_open: true}
        - {parcel_id: b, ok_depot_open: true}
"""


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    made = make_toy(tmp_path / "toy")
    made.skewless("ingest", "toy")
    return made


@pytest.mark.dbt
def test_a_contract_that_is_not_kept_names_every_column_and_both_types(fresh: Checkout) -> None:
    fresh.edit("models/toy/marts/toy_features.yml", "data_type: double, description: Weight", "data_type: integer, description: Weight")
    fresh.edit("models/toy/marts/toy_features.yml", "{name: carrier, data_type: varchar", "{name: carier, data_type: varchar")
    said = fresh.skewless("build", "toy", code=1)
    assert "column weight_kg: the SQL gives DOUBLE, the contract says INTEGER" in said
    assert "column carrier: missing in contract (the SQL gives VARCHAR, the contract says none)" in said
    assert "column carier: missing in definition (the SQL gives none, the contract says VARCHAR)" in said
    assert "do: make models/toy/marts/toy_features.sql and models/toy/marts/toy_features.yml agree" in said


@pytest.mark.dbt
def test_a_rule_over_its_budget_names_rule_load_file_share_budget_and_remedy_and_exits_3_also_in_run(fresh: Checkout) -> None:
    fresh.edit(f"{CHECKED}.yml", "{dimension: valid, budget: 0.05", "{dimension: valid, budget: 0.001")
    fresh.edit(f"{CHECKED}.yml", "{dimension: accurate, budget: 0.05", "{dimension: accurate, budget: 0")
    said = fresh.skewless("run", "toy", "--no-page", code=3)
    (load,) = (path.stem for path in (fresh.root / "raw/toy/_loads/parcels").iterdir())
    assert "1 red test:" in said
    assert f"rule weight of toy_quality: load {load} (parcels.csv) breaks it in 2 of 502 rows, 0.398%; its budget is 0.000%" in said
    assert f"weight: correct the file and ingest it again, or correct the rule in {CHECKED}.sql" in said
    assert f"raise the budget of ok_weight in {CHECKED}.yml" in said
    assert "rule depot_open" not in said


@pytest.mark.dbt
def test_books_that_do_not_balance_name_the_load_and_its_counts(fresh: Checkout) -> None:
    fresh.edit("models/toy/marts/toy_quarantine.sql", "where not is_duplicate", "where ok_weight and not is_duplicate")
    said = fresh.skewless("build", "toy", code=3)
    assert "books_balance of int_parcels_checked: the rows of 1 load do not add up" in said
    assert "(parcels.csv): raw_count = 502, clean_count = 494, quarantine_count = 4, duplicate_count = 2" in said
    assert "a row is lost or repeated" in said


@pytest.mark.dbt
def test_red_unit_tests_and_other_red_tests_are_whole(fresh: Checkout) -> None:
    with open(fresh.folder / f"{CHECKED}.yml", "a") as file:
        file.write(UNIT_TEST)
    said = fresh.skewless("build", "toy", code=3)
    assert f"unit test a_closed_depot_is_marked of int_parcels_checked ({CHECKED}.yml) is red" in said
    assert "@@,parcel_id,ok_depot_open" in said and "→ ,b        ,True→False" in said and "not run" in said
    text = (fresh.folder / f"{CHECKED}.yml").read_text()
    (fresh.folder / f"{CHECKED}.yml").write_text(text.replace(UNIT_TEST, ""))
    fresh.edit("models/toy/marts/toy_features.yml", "data_tests: [unique]", "data_tests: [{accepted_values: {arguments: {values: [P1]}}}]")
    said = fresh.skewless("build", "toy", code=3)
    assert "accepted_values of toy_features.parcel_id: 494 rows fail" in said and "n_records = 1" in said and "and 489 more" in said
    query = said.split("the query of the failing rows is ")[1].splitlines()[0]
    assert Path(query).read_text().strip()


@pytest.mark.dbt
def test_broken_sql_exits_1_even_where_a_test_is_red_too_and_names_both(fresh: Checkout) -> None:
    fresh.edit(f"{CHECKED}.yml", "{dimension: accurate, budget: 0.05", "{dimension: accurate, budget: 0")
    fresh.edit("models/toy/marts/toy_depots.sql", "select", "select wrong_column,")
    said = fresh.skewless("build", "toy", code=1)
    assert 'column "wrong_column" not found' in said and "do: correct models/toy/marts/toy_depots.sql" in said
    assert "rule weight of toy_quality" in said


def test_a_long_message_ends_at_a_line_and_says_where_the_rest_is() -> None:
    lines = [f"line {number} " + "x" * 500 for number in range(60)]
    said = failures._message({"message": "\n".join([*lines, "  > in macro a (b.sql)"]), "status": "error"}).splitlines()
    assert said[: failures.MAX_LINES] == lines[: failures.MAX_LINES]
    assert said[failures.MAX_LINES :] == ["(20 more lines are in dbt's log)"]
