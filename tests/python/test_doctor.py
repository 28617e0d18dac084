"""The doctor: a healthy checkout is well, and one damaged thing at a time is named with what to do about it."""

import fcntl
import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Checkout, make_toy

from ml import cli
from ml.doctor import inspection


@pytest.fixture
def well(lived: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the toy after its life, free to be damaged."""
    shutil.copytree(lived.folder, tmp_path / "checkout")
    return Checkout(tmp_path / "checkout", "toy")


def examined(checkout: Checkout, *options: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The checks by name."""
    return {check["name"]: check for check in checkout.json("doctor", *options, code=code)["checks"]}


def only(checkout: Checkout, pattern: str) -> Path:
    """The one path of the storage root that a pattern names."""
    (path,) = checkout.root.glob(pattern)
    return path


def flip(path: Path, at: int = -1) -> None:
    """Change one byte in the middle of a file, or at a place; its length stays."""
    data = bytearray(path.read_bytes())
    data[at if at >= 0 else len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def lose_a_row(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


def test_all_is_well_after_a_whole_life_also_on_a_deep_look(lived: Checkout) -> None:
    for options in ((), ("--deep",)):
        checks = examined(lived, "toy", *options)
        stored = {name: check for name, check in checks.items() if name.startswith("toy: ") or name in ("ledger", "locks", "leftovers")}
        assert {check["status"] for check in stored.values()} == {"ok"}, stored
        assert {name for name in checks if name.startswith("toy: ")} == {
            f"toy: {what}" for what in ("raw", "snapshots", "runs", "bundles", "champion")
        }


@pytest.mark.dbt
def test_it_works_before_anything_was_ingested_and_leaves_nothing_behind(tmp_path: Path) -> None:
    fresh = make_toy(tmp_path / "toy")
    checks = examined(fresh)
    assert not fresh.root.exists()
    assert "fail" not in {check["status"] for check in checks.values()}
    assert checks["toy: raw"]["says"] == "nothing ingested yet" and checks["toy: champion"]["says"] == "none yet"


RAW, OWN, STORE = "raw/toy", "workspaces/default/toy", "workspaces/default/bentoml/models/toy"
DAMAGES: list[tuple[str, str, Callable[[Path], object], str]] = [
    (f"{RAW}/parcels/[!_]*.parquet", "toy: raw", lose_a_row, "501 rows, its record says 502"),
    (f"{RAW}/parcels/[!_]*.parquet", "toy: raw", cut, "cannot be read"),
    (f"{RAW}/parcels/[!_]*.parquet", "toy: raw", Path.unlink, "a record and no file"),
    (f"{RAW}/_loads/parcels/*.json", "toy: raw", Path.unlink, "a file and no record"),
    (f"{RAW}/_rejects/parcels/*.parquet", "toy: raw", Path.unlink, "rejects of load"),
    (f"{OWN}/snapshots/*/features/train-0000.parquet", "toy: snapshots", Path.unlink, "train-0000.parquet is missing"),
    (f"{OWN}/snapshots/*/features/train-0000.parquet", "toy: snapshots", lose_a_row, "features of train hold"),
    (f"{OWN}/snapshots/*/features/train-0000.parquet", "toy: snapshots",
     lambda path: shutil.copy(path, path.with_name("train-0001.parquet")), "train-0001.parquet does not belong there"),
    (f"{OWN}/snapshots/*/snapshot.json", "toy: snapshots", lambda path: path.write_text("{"), "snapshot.json is damaged"),
    (f"{OWN}/snapshot.json", "toy: snapshots", lambda path: rewrite(path, id="gone"), "the current one, gone, is gone"),
    (f"{OWN}/runs/*/weights.safetensors", "toy: runs", cut, "weights.safetensors is truncated"),
    (f"{OWN}/runs/*/encoding.json", "toy: runs", Path.unlink, "encoding.json is missing"),
    (f"{STORE}/[!l]*/lookups/toy_depots.parquet", "toy: bundles", Path.unlink, "toy_depots.parquet is missing"),
    (f"{OWN}/receipts/*/*.json", "toy: champion", lambda path: rewrite(path, ok=False), "is not valid"),
    (f"{OWN}/receipts/*/*.json", "toy: champion", Path.unlink, "has no receipt for this code"),
    (f"{STORE}/[!l]*/online.sql", "toy: champion", flip, "online.sql of bundle"),
    (f"{STORE}/[!l]*", "toy: champion", shutil.rmtree, "the model store has no version"),
    (f"{OWN}/champion", "toy: champion", lambda path: rewrite(path, version="0123"), "no version 0123"),
    ("workspaces/default/ledger/*-train-*.json", "ledger", lambda path: path.write_text("{}"), "is not a row"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "name", "damage", "says"), DAMAGES, ids=[f"{name}, {says}" for _, name, _, says in DAMAGES])
def test_a_damaged_thing_is_named_with_what_to_do(
    well: Checkout, pattern: str, name: str, damage: Callable[[Path], object], says: str
) -> None:
    damage(only(well, pattern))
    checks = examined(well, code=1)
    assert checks[name]["status"] == "fail" and says in checks[name]["says"] and checks[name]["do"]


@pytest.mark.parametrize(
    ("pattern", "name", "says"),
    [
        (f"{OWN}/snapshots/*/contract.json", "toy: snapshots", "contract.json is not what was written"),
        (f"{OWN}/runs/*/weights.safetensors", "toy: runs", "weights.safetensors is not what was packaged"),
        (f"{OWN}/bundles/*/encoding.json", "toy: bundles", "encoding.json of bundle"),
        (f"{RAW}/parcels/[!_]*.parquet", "toy: raw", "cannot be read"),
    ],
)
def test_a_changed_byte_is_found_by_a_deep_look(well: Checkout, pattern: str, name: str, says: str) -> None:
    path = only(well, pattern)
    flip(path, at=10 if path.suffix == ".parquet" else -1)
    assert examined(well)[name]["status"] == "ok"
    found = examined(well, "--deep", code=1)[name]
    assert found["status"] == "fail" and says in found["says"]


def test_what_it_says_to_do_about_a_damaged_bundle_fixes_it(well: Checkout) -> None:
    folder = only(well, f"{STORE}/[!l]*")
    flip(folder / "online.sql")
    assert str(folder) in examined(well, code=1)["toy: champion"]["do"]
    shutil.rmtree(folder)
    well.skewless("package", "toy")
    assert examined(well, "--deep")["toy: champion"]["status"] == "ok"


def test_other_columns_than_are_declared_are_reported(well: Checkout) -> None:
    (sources,) = (well.folder / "models/toy/staging").glob("*sources.yml")
    sources.write_text(sources.read_text().replace("{name: distance_km}]", "{name: distance_miles}]"))
    found = examined(well)["toy: raw"]
    assert found["status"] == "warn" and "of depots has other columns" in found["says"]


@pytest.mark.dbt
def test_a_file_that_cannot_be_parsed_fails_its_own_check_and_no_other(tmp_path: Path) -> None:
    broken = make_toy(tmp_path / "toy")
    (sources,) = (broken.folder / "models/toy/staging").glob("*sources.yml")
    sources.write_text("sources: [")
    checks = examined(broken, code=1)
    assert [name for name, check in checks.items() if check["status"] == "fail"] == ["toy: raw"]
    assert sources.name in checks["toy: raw"]["says"]
    assert sources.name in broken.skewless("profile", "toy", code=1)


def test_who_holds_the_lock_is_reported_without_waiting_for_it(well: Checkout) -> None:
    with open(well.root / "workspaces/default/build.lock", "w") as lock:
        lock.write("`skewless build toy`, process 1 on a machine")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = examined(well)["locks"]
    assert found["status"] == "warn" and "builds wait for `skewless build toy`, process 1 on a machine" in found["says"]
    assert examined(well)["locks"]["status"] == "ok"


def test_what_killed_processes_left_is_reported(well: Checkout) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (well.root / "tmp" / f"{socket.gethostname()}-{dead.pid}-abc").mkdir(parents=True)
    (well.root / "tmp" / "another-machine-12-abc").mkdir()
    (well.own / "runs" / "0123.checkpoint").write_text("")
    found = examined(well)["leftovers"]
    assert found["status"] == "warn"
    assert all(part in found["says"] for part in ("1 temporary folders", "another-machine-12-abc", "0123.checkpoint"))


def test_versions_are_compared_with_the_lock(lived: Checkout) -> None:
    lock = lived.folder / "requirements.lock"
    lock.write_text("rich==0.0.1\nno-such-package==1.0\n")
    found = examined(lived)["packages"]
    assert found["status"] == "warn" and "no-such-package is missing; rich " in found["says"] and "not 0.0.1" in found["says"]
    lived.edit("pyproject.toml", '"rich>=14",', '"rich>=14", "no-such-package",')
    assert examined(lived, code=1)["packages"]["status"] == "fail"
    lock.unlink()
    lived.edit("pyproject.toml", '"rich>=14", "no-such-package",', '"rich>=14",')


@pytest.mark.dbt
def test_an_interpreter_that_is_not_asked_for_fails(tmp_path: Path) -> None:
    other = make_toy(tmp_path / "toy")
    other.edit("pyproject.toml", ">=3.11,<3.13", ">=3.9,<3.10")
    assert examined(other, code=1)["interpreter"]["status"] == "fail"


def test_a_root_that_cannot_be_written_fails(toy: Checkout, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        found = examined(toy, "--root", str(root), code=1)
        assert found["storage root"]["status"] == "fail" and str(root) in found["storage root"]["says"]


def test_a_taken_port_is_reported_and_fails_nothing(toy: Checkout) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 3000))
            holder.listen()
        except OSError:
            pass  # somebody else holds it, which is as good
        found = examined(toy)["port"]
    assert found["status"] == "warn" and "--port 3001" in found["do"]


@pytest.mark.dbt
def test_telemetry_that_was_turned_on_is_reported(tmp_path: Path) -> None:
    loud = make_toy(tmp_path / "toy")
    loud.edit("dbt_project.yml", "send_anonymous_usage_stats: false", "send_anonymous_usage_stats: true")
    assert "dbt" in examined(loud)["telemetry"]["says"]


def test_credentials_are_asked_for_by_athena_alone_and_never_shown(toy: Checkout, tmp_path: Path) -> None:
    bare = {"SKEWLESS_TARGET": "athena", "HOME": str(tmp_path), "AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "k",
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}  # fmt: skip
    assert "no credentials" in toy.skewless("doctor", code=1, **bare)
    said = toy.skewless("doctor", **{**bare, "AWS_SECRET_ACCESS_KEY": "an-invented-secret"})
    assert "in the environment" in said and "an-invented-secret" not in said
    (tmp_path / "credentials").write_text("an-invented-secret")
    said = toy.skewless("doctor", **bare)
    assert "credentials; not tried" in " ".join(said.split()) and "an-invented-secret" not in said
    assert "duckdb or athena" in toy.skewless("doctor", code=1, SKEWLESS_TARGET="oracle")


def test_it_is_quick_because_torch_stays_out(lived: Checkout) -> None:
    script = "import sys; from ml.cli import main; main(['doctor', '--deep']); print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([lived.command()[0], "-c", script], cwd=lived.folder, env=lived.environment(), capture_output=True, text=True)
    assert not {"torch", "pandas", "bentoml", "dbt", "sklearn"} & set(done.stdout.splitlines()[-1].split()), done.stderr


def test_a_check_that_cannot_be_made_fails_alone(
    monkeypatch: pytest.MonkeyPatch, toy: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: object) -> Any:
        raise ImportError("No module named 'pyarrow'")

    monkeypatch.chdir(toy.folder)
    monkeypatch.setattr(inspection, "_raw", lost)
    assert cli.main(["doctor", "toy", "--root", str(toy.root), "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["toy: raw"]["status"] == "fail" and "make setup" in checks["toy: raw"]["do"] and "toy: champion" in checks
