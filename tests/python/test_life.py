"""The toy project's whole life through the command line: run, edit, refuse, roll back."""

import json
import subprocess

import pytest
from conftest import Checkout

FEATURES = "models/toy/marts/toy_features"
REDONE = ("ingest", "build", "snapshot", "train", "evaluate", "package", "serve", "promote")


def make_champion(lived: Checkout) -> dict[str, dict]:
    """The way to a champion without the service, and with a network of three epochs, which the gate would refuse."""
    done = {verb: lived.json(verb, "toy") for verb in ("build", "snapshot")}
    done["train"] = lived.json("train", "toy", "--epochs", "3")
    return done | {"package": lived.json("package", "toy"), "promote": lived.json("promote", "toy", "--force")}


def test_the_first_run_goes_from_files_to_a_served_prediction(lived: Checkout) -> None:
    steps = json.loads((lived.folder / "run.json").read_text())["steps"]
    assert all(not steps[verb]["unchanged"] for verb in REDONE)
    assert steps["build"]["books"] == {"raw": 502, "clean": 494, "quarantine": 6, "duplicates": 2}
    assert steps["ingest"]["rejects"] == 1
    assert steps["package"]["receipt"]["ok"] and steps["package"]["receipt"]["rows"] == 494
    assert steps["serve"]["answered"] == steps["serve"]["asked"] > 100
    assert steps["evaluate"]["test"]["log_loss"] < steps["evaluate"]["baselines"]["mean"]["test"]["log_loss"]


def test_a_second_run_redoes_nothing_and_says_so(lived: Checkout) -> None:
    lived.skewless("build", "toy")  # the copied checkout has another path, which is in the views
    done = lived.json("run", "toy", "--no-page")
    assert done["unchanged"] and "nothing had changed" in done["summary"]
    assert all(done["steps"][verb]["unchanged"] for verb in REDONE)


def test_every_step_leaves_a_ledger_row_with_what_it_used(lived: Checkout) -> None:
    steps = {step["step"]: step for step in lived.json("cost", "toy")["steps"]}
    assert {"run", "check", "drift", *REDONE} <= set(steps)
    assert steps["train"]["rows"] > 336 and steps["train"]["wall_s"] > 0 and steps["train"]["peak_memory_bytes"] > 100e6
    assert all(steps[verb]["bytes"] > 10_000 for verb in ("ingest", "build", "snapshot", "train", "package", "report"))


def test_a_feature_is_one_line_of_sql_and_one_entry_of_yaml(lived: Checkout) -> None:
    before = lived.json("models", "toy")["versions"][0]["version"]
    lived.edit(
        f"{FEATURES}.sql",
        "        request.is_priority,\n",
        "        request.is_priority,\n        cast(length(request.depot) as double) as depot_length,\n",
    )
    entry = "      - {name: depot_length, data_type: double, description: Size., config: {meta: {role: feature, kind: numerical}}}\n"
    lived.edit(f"{FEATURES}.yml", "      - {name: sent_time_sin", entry + "      - {name: sent_time_sin")
    done = lived.json("run", "toy", "--no-page")
    assert "depot_length" in done["steps"]["package"]["receipt"]["features"]
    assert done["steps"]["serve"]["model_version"] == lived.json("models", "toy")["versions"][0]["version"] != before


def test_a_rule_is_added_the_same_way_and_is_enforced_on_requests(lived: Checkout) -> None:
    checked = "models/toy/intermediate/int_parcels_checked"
    lived.edit(
        f"{checked}.sql",
        "        is_late is not null as ok_delivered\n",
        "        coalesce(carrier <> 'slow' or weight_g < 9000, true) as ok_slow_is_light,\n        is_late is not null as ok_delivered\n",
    )
    lived.edit(
        f"{checked}.yml",
        "      - name: ok_delivered",
        "      - name: ok_slow_is_light\n        description: The slow carrier takes nothing over 9 kg.\n"
        "        config: {meta: {rule: {dimension: consistent, budget: 0.05, action: quarantine}}}\n      - name: ok_delivered",
    )
    assert "ok_slow_is_light" in lived.json("check", "toy")["rules_on_requests"]
    books = lived.json("build", "toy")["books"]
    assert books["raw"] == books["clean"] + books["quarantine"] + books["duplicates"] and books["quarantine"] > 6


def test_a_rule_over_its_budget_stops_build_and_snapshot(lived: Checkout) -> None:
    checked = "models/toy/intermediate/int_parcels_checked.yml"
    lived.edit(checked, "dimension: accurate, budget: 0.05", "dimension: accurate, budget: 0.0")
    assert "rule weight of toy_quality" in lived.skewless("build", "toy", code=3)
    assert "red in the last build" in lived.skewless("snapshot", "toy", code=3)
    lived.edit(checked, "dimension: accurate, budget: 0.0", "dimension: accurate, budget: 0.05")
    lived.skewless("build", "toy")


def test_an_edit_after_the_build_closes_the_snapshot(lived: Checkout) -> None:
    lived.edit(f"{FEATURES}.sql", "/ 1000e0 as weight_kg", "/ 1001e0 as weight_kg")
    assert "changed after the last build" in lived.skewless("snapshot", "toy", code=3)
    lived.edit(f"{FEATURES}.sql", "/ 1001e0 as weight_kg", "/ 1000e0 as weight_kg")


def test_a_plain_dbt_build_is_as_good_as_ours(lived: Checkout) -> None:
    lived.edit(f"{FEATURES}.sql", "select * from features", "select * from features -- edited")
    dbt = lived.command()[0].rsplit("/", 1)[0] + "/dbt"
    subprocess.run([dbt, "build", "--quiet"], cwd=lived.folder, env=lived.environment(), check=True, timeout=300)
    assert lived.json("snapshot", "toy")["counts"]["train"] > 300
    subprocess.run([dbt, "build", "--quiet", "-s", "toy_features"], cwd=lived.folder, env=lived.environment(), check=True, timeout=300)
    assert "left out" in lived.skewless("snapshot", "toy", code=3)
    subprocess.run([dbt, "compile", "--quiet"], cwd=lived.folder, env=lived.environment(), check=True, timeout=300)
    assert "dbt compile" in lived.skewless("snapshot", "toy", code=3)
    lived.skewless("build", "toy")


def test_a_macro_that_means_two_things_is_refused_by_the_receipt(lived: Checkout) -> None:
    make_champion(lived)
    champion = (lived.own / "champion").read_text()
    lived.edit("macros/shared/great_circle_km.sql", "12742.0176e0", "{{ '12742.0176e0' if flags.WHICH == 'build' else '12742.02e0' }}")
    said = lived.skewless("run", "toy", "--epochs", "3", code=3)
    assert "the receipt refuses" in said and "distance_km differs" in said and "warehouse" in said
    assert (lived.own / "champion").read_text() == champion
    lived.edit("macros/shared/great_circle_km.sql", "{{ '12742.0176e0' if flags.WHICH == 'build' else '12742.02e0' }}", "12742.0176e0")


def test_an_edit_taken_back_brings_the_old_version_back_without_work(lived: Checkout) -> None:
    before = make_champion(lived)
    lived.edit(f"{FEATURES}.sql", "/ 1000e0 as weight_kg", "/ 500e0 as weight_kg")
    edited = make_champion(lived)
    lived.edit(f"{FEATURES}.sql", "/ 500e0 as weight_kg", "/ 1000e0 as weight_kg")
    after = make_champion(lived)
    assert after["promote"]["version"] == before["promote"]["version"] != edited["promote"]["version"]
    assert all(after[verb]["unchanged"] for verb in ("snapshot", "train", "package"))


def test_a_version_that_was_rolled_back_is_not_promoted_by_the_next_run(lived: Checkout) -> None:
    bad = json.loads((lived.own / "champion").read_text())["version"]
    good = lived.json("rollback", "toy")["version"]
    said = lived.json("promote", "toy")
    assert said["version"] == good and said["withheld"] == bad
    assert lived.json("promote", "toy", "--bundle", bad, "--force")["version"] == bad


def test_rollback_brings_the_last_champion_back_until_there_is_none(lived: Checkout) -> None:
    record = json.loads((lived.own / "champion").read_text())
    for version in reversed(record["history"]):
        assert lived.json("rollback", "toy")["version"] == version
    assert "no earlier champion" in lived.skewless("rollback", "toy", code=3)
    assert lived.json("promote", "toy", "--bundle", record["version"], "--force")["version"] == record["version"]


@pytest.mark.parametrize("damage", ["edit", "lose", "forge"])
def test_a_version_without_a_sound_receipt_is_neither_promoted_nor_served(lived: Checkout, damage: str) -> None:
    version = json.loads((lived.own / "champion").read_text())["version"]
    folder = lived.root / "workspaces/default/bentoml/models/toy" / version
    receipts = lived.own / "receipts" / version
    target = folder / "online.sql" if damage == "edit" else next(receipts.iterdir())
    original = target.read_bytes()
    if damage == "edit":
        target.write_bytes(original.replace(b"1000e0", b"1001e0"))
    elif damage == "lose":
        target.unlink()
    else:
        target.write_text(json.dumps({"ok": True}))
    assert "error" in lived.skewless("promote", "toy", "--bundle", version, code=3)
    assert "error" in lived.skewless("serve", "toy", "--port", "3999", code=3)
    target.write_bytes(original)
