"""What a killed process leaves: no running child and no temporary folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Checkout, make_toy

from ml import children, storage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
PATIENCE_SECONDS = 30


def wait_for(is_so: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(0.02)
    return False


def command_of(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: str) -> list[str]:
    try:
        below = Path("/proc", pid, "task", pid, "children").read_text().split()
    except OSError:
        return []
    return [one for child in below for one in (child, *descendants(child))]


def dbt_of(pid: int) -> list[str]:
    return [child for child in descendants(str(pid)) if "/dbt " in command_of(child) and "ml/children.py" not in command_of(child)]


@pytest.mark.dbt
def test_a_killed_build_takes_its_dbt_with_it_and_the_same_command_works_at_once(tmp_path: Path) -> None:
    killed = make_toy(tmp_path / "toy")
    killed.skewless("ingest", "toy")
    process = subprocess.Popen(killed.command("build", "toy"), cwd=killed.folder, env=killed.environment(), stdout=subprocess.DEVNULL)
    database = killed.root / "workspaces/default/warehouse.duckdb"
    assert wait_for(lambda: bool(dbt_of(process.pid)) and database.exists())  # in the middle: dbt has opened the warehouse
    (dbt,) = dbt_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)  # the process alone, not its group
    process.wait()
    assert killed.json("build", "toy")["books"]["raw"] == 502
    assert not is_alive(dbt)


def test_a_killed_run_takes_its_steps_with_it(toy: Checkout) -> None:
    process = subprocess.Popen(toy.command("run", "toy"), cwd=toy.folder, env=toy.environment(), stdout=subprocess.DEVNULL)
    assert wait_for(lambda: bool(dbt_of(process.pid)))
    below = descendants(str(process.pid))
    assert len(below) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_for(lambda: not any(is_alive(child) for child in below), 3)  # dbt alone would go on for longer


def test_a_command_whose_program_is_missing_says_so() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        children.bound(["/nowhere/no-such-program"])


def test_a_bound_command_keeps_its_arguments_environment_and_exit_code(tmp_path: Path) -> None:
    script = "import os, sys; print(sys.argv[1:], os.environ['PYTHONPATH']); sys.exit(7)"
    done = subprocess.run(
        children.bound([sys.executable, "-c", script, "a b", "", "$x"]),
        env={**os.environ, "PYTHONPATH": "/p"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "['a b', '', '$x'] /p\n", "")


def test_a_child_of_a_parent_that_is_gone_does_not_start() -> None:
    command = children.bound([sys.executable, "-c", "print('started')"])
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""


def test_a_block_that_fails_ends_its_child() -> None:
    process = subprocess.Popen(children.bound(["sleep", "60"]), stdout=subprocess.PIPE, text=True)
    with pytest.raises(KeyboardInterrupt), children.ended_with(process):
        raise KeyboardInterrupt
    assert process.returncode == -signal.SIGTERM


WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from ml import storage
def write(path):
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
storage.write_next_to(Path(sys.argv[1]), write)
"""


def test_the_temporary_folder_of_a_killed_write_is_removed_by_the_next_one_there(tmp_path: Path, toy: Checkout) -> None:
    (tmp_path / ".skewless-notes").mkdir()
    (tmp_path / ".skewless-another-machine-12-abc").mkdir()
    (tmp_path / f".skewless-{os.uname().nodename}-{os.getpid()}-alive").mkdir()
    others = {path.name for path in tmp_path.iterdir()}
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path / "answers.csv")], cwd=toy.folder, env=toy.environment())
    (left,) = {path.name for path in tmp_path.iterdir()} - others
    assert left.startswith(".skewless-")
    storage.write_next_to(tmp_path / "other.csv", lambda path: path.write_text("whole"))
    assert {path.name for path in tmp_path.iterdir()} == others | {"other.csv"}


def test_the_temporary_folders_of_killed_steps_are_removed_at_the_next_start(toy: Checkout) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = toy.root / "tmp" / f"{os.uname().nodename}-{dead.pid}-abc"
    (left / "new").mkdir(parents=True)
    toy.skewless("rollback", "toy", code=3)
    assert not left.exists()
