"""The command line as a newcomer meets it: help that teaches, errors that name what, where and what to do."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import CHECKOUT, Checkout, make_toy, toy_data

from ml import cli
from ml.verbs import VERBS, reference


def test_every_verb_has_help_with_an_example(toy: Checkout) -> None:
    parser = cli.parser()
    (verbs,) = (action for action in parser._actions if hasattr(action, "choices") and action.choices)
    assert list(verbs.choices) == list(VERBS)
    for name, verb in VERBS.items():
        said = verbs.choices[name].format_help()
        assert f"example: skewless {name}" in said and "--json" in said and verb.name == name
    assert "example: skewless run" in toy.skewless("run", "--help")


def test_the_reference_page_is_generated_from_the_declarations() -> None:
    assert (CHECKOUT / reference.PAGE).read_text() == reference.page(), "run: python -m ml.verbs.reference"


def test_every_setting_that_is_read_is_in_the_reference() -> None:
    inner = {"SKEWLESS_RUN_ID", "SKEWLESS_SOURCE", "SKEWLESS_BUNDLE"}  # set by one process for its children
    folders = ("ml", "serving", "models", "macros")
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*") if path.suffix in (".py", ".sql", ".yml")]
    read = {name for path in [*files, CHECKOUT / "profiles.yml"] for name in re.findall(r"SKEWLESS_[A-Z_]+\b", path.read_text())}
    assert read - inner == set(reference.SETTINGS)


@pytest.mark.parametrize(
    ("verb", "options", "recorded"), [("build", [], True), ("models", [], False), ("serve", [], False), ("serve", ["--check"], True)]
)
def test_the_ledger_reads_the_declaration(verb: str, options: list[str], recorded: bool) -> None:
    assert VERBS[verb].is_recorded(cli.parser().parse_args([verb, "toy", *options])) is recorded


def test_help_is_instant(toy: Checkout) -> None:
    script = "import sys, ml.cli; ml.cli.parser(); print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([*toy.command()[:1], "-c", script], cwd=toy.folder, capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pyarrow", "duckdb", "rich", "yaml", "bentoml"} & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build", "tox"], "did you mean toy?"),
        (["build", "nothing_like_it"], "there are toy"),
        (["bild"], "invalid choice"),
        ([], "VERB"),
        (["train", "toy", "--epochs", "many"], "invalid int value"),
        (["build", "toy", "--workspace", "Not A Name"], "small letters"),
        (["build", "toy", "--root", "s3://bucket"], "not supported yet"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_to_do(toy: Checkout, arguments: list[str], says: str) -> None:
    said = toy.skewless(*arguments, code=2)
    assert says in said and "error:" in said and "do:" in said


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("snapshot", "no build of toy"), ("train", "no snapshot"), ("evaluate", "no training run"), ("package", "no training run"),
        ("promote", "no packaged version"), ("rollback", "no earlier champion"), ("serve", "no champion"), ("drift", "no champion"),
    ],
)  # fmt: skip
def test_a_step_too_early_names_the_step_that_comes_before(toy: Checkout, verb: str, says: str) -> None:
    said = toy.skewless(verb, "toy", code=3)
    assert says in said and ("do: run: skewless" in said or "do: see: skewless" in said)


def test_no_checkout_is_reported(toy: Checkout, tmp_path: Path) -> None:
    done = subprocess.run(toy.command("build", "toy"), cwd=tmp_path, env=toy.environment(), capture_output=True, text=True)
    assert done.returncode == 2 and "change into the checkout" in done.stderr


def test_a_taken_port_is_reported_before_anything_starts(lived: Checkout) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert f"port {port}" in lived.skewless("serve", "toy", "--port", str(port), code=2)
    assert "--port must be in [1, 65535], got 99999" in lived.skewless("serve", "toy", "--port", "99999", code=2)


def test_a_read_only_root_is_reported(toy: Checkout, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = subprocess.run(
        toy.command("ingest", "toy", "--root", str(blocked)), cwd=toy.folder, env=toy.environment(), capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr and "error:" in done.stderr and "do:" in done.stderr


def test_a_full_disk_is_reported_and_leaves_nothing_incomplete(toy: Checkout) -> None:
    limit = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); from ml.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    root = toy.folder / "small"
    command = [*toy.command()[:1], "-c", limit, "ingest", "toy", "--root", str(root)]
    done = subprocess.run(command, cwd=toy.folder, env=toy.environment(), capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "error:" in done.stderr
    assert not [path for path in root.rglob("*.parquet") if not any(part.startswith("_") for part in path.parts)]


@pytest.mark.dbt
def test_broken_sql_is_reported_with_its_model(tmp_path: Path) -> None:
    broken = make_toy(tmp_path / "toy")
    broken.skewless("ingest", "toy")
    broken.edit("models/toy/marts/toy_depots.sql", "distance_km", "distance_miles")
    assert "toy_depots" in broken.skewless("build", "toy", code=1)
    broken.edit("models/toy/marts/toy_depots.sql", "select depot,", "select {{ oops depot,")
    assert "toy_depots" in broken.skewless("build", "toy", code=1)


@pytest.mark.dbt
def test_feature_sql_that_could_not_run_online_is_refused_by_check(tmp_path: Path) -> None:
    leaking = make_toy(tmp_path / "toy")
    leaking.edit("models/toy/marts/toy_features.sql", "request.is_priority,", "request.is_priority and request.is_late as is_priority,")
    said = leaking.skewless("check", "toy", code=1)
    assert "is_priority reads toy_clean.is_late" in said


@pytest.mark.dbt
def test_an_empty_project_builds_and_then_says_what_is_missing(tmp_path: Path) -> None:
    empty = make_toy(tmp_path / "toy")
    (empty.folder / "models/toy/parcels.csv").write_text(",".join(toy_data.HEADER) + "\n")
    empty.skewless("ingest", "toy")
    empty.skewless("build", "toy")
    assert "split train of toy_features is empty" in empty.skewless("snapshot", "toy", code=3)


def test_two_workspaces_share_raw_data_and_nothing_else(lived: Checkout) -> None:
    assert lived.json("ingest", "toy", "--workspace", "anna")["unchanged"]
    assert not lived.json("build", "toy", "--workspace", "anna")["unchanged"]
    assert lived.json("models", "toy", "--workspace", "anna")["versions"] == []
    assert lived.json("models", "toy")["versions"] != []


@pytest.mark.dbt
def test_a_second_build_waits_for_the_first_and_says_for_whom(tmp_path: Path) -> None:
    busy = make_toy(tmp_path / "toy")
    busy.skewless("ingest", "toy")
    first = subprocess.Popen(busy.command("build", "toy"), cwd=busy.folder, env=busy.environment(), stdout=subprocess.DEVNULL)
    while not (busy.root / "workspaces/default/build.lock").exists() and first.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)
    said = busy.skewless("build", "toy")
    assert first.wait() == 0
    assert "waiting for `skewless build toy`, process" in said and "(unchanged)" in said


@pytest.mark.dbt
def test_a_killed_build_leaves_a_workspace_that_the_same_command_finishes(tmp_path: Path) -> None:
    killed = make_toy(tmp_path / "toy")
    killed.skewless("ingest", "toy")
    for wait in (2.0, 3.5, 4.5):
        command, environment = killed.command("build", "toy"), killed.environment()
        process = subprocess.Popen(command, cwd=killed.folder, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert killed.json("build", "toy")["books"]["raw"] == 502
    assert killed.json("snapshot", "toy")["counts"]["train"] == 336


def test_json_is_one_object_on_standard_output(lived: Checkout) -> None:
    done = subprocess.run(
        lived.command("evaluate", "toy", "--json"), cwd=lived.folder, env=lived.environment(), capture_output=True, text=True
    )
    assert json.loads(done.stdout)["verb"] == "evaluate" and done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "says"),
    [
        (["train", "toy"], 3, "GateError", "no snapshot"),
        (["train", "toy", "--epochs", "many"], 2, "UsageError", "invalid int value"),
        (["train", "tox"], 2, "UsageError", "no project tox"),
        (["bild"], 2, "UsageError", "invalid choice"),
    ],
)
def test_a_failure_with_json_is_one_object_with_the_error(toy: Checkout, arguments: list[str], code: int, kind: str, says: str) -> None:
    said = toy.json(*arguments, code=code)
    assert set(said) == {"verb", "project", "error", "exit_code", "log"} and said["exit_code"] == code
    assert said["error"]["type"] == kind and says in said["error"]["message"] and said["error"]["hint"]
    assert said["verb"] == (arguments[0] if arguments[0] in VERBS else None)
    assert said["log"] is None or Path(said["log"]).is_file()


@pytest.mark.dbt
def test_a_run_whose_step_fails_gives_the_error_of_that_step(tmp_path: Path) -> None:
    broken = make_toy(tmp_path / "toy")
    broken.edit("models/toy/marts/toy_depots.sql", "select depot,", "select {{ oops depot,")
    done = subprocess.run(
        broken.command("run", "toy", "--json"), cwd=broken.folder, env=broken.environment(), capture_output=True, text=True
    )
    said = json.loads(done.stdout)
    assert done.returncode == said["exit_code"] == 1 and said["verb"] == "run"
    assert said["error"]["message"].startswith("build: ") and "toy_depots" in said["error"]["message"]
    assert "-build-" in said["log"] and "Traceback" in Path(said["log"]).read_text()
    assert len(re.findall(r"(?m)^error: ", done.stderr)) == 1, done.stderr


ODD_STREAMS = {
    "an encoding of ASCII only": ("PYTHONIOENCODING=ascii {}", 0),
    "an encoding of ASCII only, with JSON": ("PYTHONIOENCODING=ascii {} --json", 0),
    "closed standard output": ("{} >&-", 0),
    "all streams closed": ("{} <&- >&- 2>&-", 0),
    "a reader that goes away": ("{} | true; exit ${{PIPESTATUS[0]}}", 0),
    "a full device": ("{} > /dev/full", 1),
    "a full device, with JSON": ("{} --json > /dev/full", 1),
    "help on a full device": ("{} --help > /dev/full", 0),
}


@pytest.mark.parametrize("streams", ODD_STREAMS)
def test_odd_streams_never_end_in_a_traceback(toy: Checkout, streams: str) -> None:
    line, code = ODD_STREAMS[streams]
    toy.skewless("ingest", "toy")
    done = subprocess.run(
        ["bash", "-c", line.format(" ".join(toy.command("profile", "toy", "parcels")))],
        cwd=toy.folder, env=toy.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert code == 0 or "error:" in done.stderr
    if line.endswith("--json"):
        assert json.loads(done.stdout)["verb"] == "profile"
