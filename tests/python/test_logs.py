"""Something to read after a failure: a log for every verb, with the traceback of what ended it."""

import logging
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Checkout, make_toy

from ml import cli, logs, storage
from ml.errors import GateError, SkewlessError
from ml.verbs import VERBS
from ml.verbs.outcome import Outcome
from ml.verbs.verb import Verb


def newest(root: Path, verb: str) -> str:
    return max((root / "workspaces/default/logs").glob(f"*-{verb}-*.log")).read_text()


def run_with(monkeypatch: pytest.MonkeyPatch, toy: Checkout, ending: BaseException | Outcome, *options: str) -> int:
    """Run `skewless cost toy` in this process, with a function that ends so."""

    def cost(_: object) -> Outcome:
        logging.getLogger("ml.planted").info("the row says \x1b[31m%s", "a\nb")
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.chdir(toy.folder)
    monkeypatch.setitem(VERBS, "cost", Verb(cost, "what it cost", "skewless cost toy"))
    return cli.main(["cost", "toy", "--root", str(toy.root), *options])


ENDINGS = [
    (KeyError("nodes"), 1, "unexpected KeyError: 'nodes'"),
    (RecursionError(), 1, "unexpected RecursionError"),
    (SkewlessError("planted", "do this"), 1, "planted"),
    (GateError("refused", "do that"), 3, "refused"),
    (PermissionError(13, "Permission denied", "/x"), 1, "may not write or read (/x): Permission denied"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (KeyboardInterrupt(signal.SIGTERM), 143, "terminated"),
]


@pytest.mark.parametrize(("ending", "code", "says"), ENDINGS)
def test_whatever_ends_a_verb_is_in_its_log_with_the_traceback(
    ending: BaseException, code: int, says: str, toy: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, toy, ending) == code
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert lines[0] == f"error: {says}" and said.out == "" and "Traceback" not in said.err
    path = Path(lines[-1].removeprefix("  log: "))
    assert len(lines) == (2 if says.startswith("unexpected") else 3)
    text = path.read_text()
    assert "Traceback (most recent call last)" in text and "in cost" in text and type(ending).__name__ in text
    assert "command: skewless cost toy" in text and "Python 3" in text and "ml.planted" in text


def test_the_log_of_a_verb_that_ends_well_has_its_summary_and_no_control_characters(toy: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(monkeypatch, toy, Outcome("12 rows", unchanged=True)) == 0
    text = newest(toy.root, "cost")
    assert "done, exit code 0, unchanged: 12 rows" in text
    assert r"the row says \x1b[31ma" in text and "\n    b\n" in text and "\x1b" not in text


def test_debug_prints_the_log_and_the_traceback_too(
    toy: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, toy, KeyError("nodes"), "--debug") == 1
    said = capsys.readouterr()
    assert "Traceback" in said.err and "ml.planted" in said.err and said.out == ""


def test_loggers_are_as_before_after_a_verb(toy: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.getLogger("ml").level, list(logging.getLogger("ml").handlers), logging.getLogger("ml").propagate
    run_with(monkeypatch, toy, KeyError("nodes"), "--debug")
    assert before == (logging.getLogger("ml").level, list(logging.getLogger("ml").handlers), logging.getLogger("ml").propagate)


def test_an_address_is_logged_without_its_secrets() -> None:
    assert logs._without_secrets("https://anna:pass@host/file.csv?X-Signature=12") == "https://host/file.csv"
    assert logs._without_secrets("plain?.csv") == "plain?.csv"


def test_only_the_newest_logs_are_kept_and_nothing_else_is_removed(tmp_path: Path) -> None:
    where = storage.open_storage(str(tmp_path), "default")
    folder = tmp_path / "workspaces/default/logs"
    folder.mkdir(parents=True)
    for number in range(logs.MAX_LOGS + 20):
        (folder / f"20250101T0000{number // 60:02}.{number % 60:03}Z-build-1.log").touch()
    (folder / "dbt.log").touch()
    with logs.written(where, "train", [], debug=False, lasting=True) as found:
        pass
    kept = sorted(path.name for path in folder.iterdir() if logs.NAME.fullmatch(path.name))
    assert len(kept) == logs.MAX_LOGS and found.path is not None and kept[-1] == found.path.name
    assert "20250101T000000.000Z-build-1.log" not in kept and (folder / "dbt.log").exists()


def test_where_no_log_can_be_written_the_verb_still_fails_with_its_sentence(toy: Checkout, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = toy.skewless("train", "toy", "--root", str(tmp_path / "file"), code=1)
    assert "error: Not a directory" in said and "log: none could be written: Not a directory" in said


def test_a_disk_that_is_full_for_the_log_too_adds_nothing_to_the_sentence(toy: Checkout, tmp_path: Path) -> None:
    def tiny() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    done = subprocess.run(
        toy.command("ingest", "toy", "--root", str(tmp_path / "root")), cwd=toy.folder, env=toy.environment(),
        capture_output=True, text=True, preexec_fn=tiny,
    )  # fmt: skip
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 3, done.stderr
    assert "Traceback" not in done.stderr and "Logging error" not in done.stderr


def test_a_verb_that_only_reads_makes_no_root_but_leaves_a_log_of_its_failure(
    toy: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = storage.open_storage(str(tmp_path / "root"), "default")
    with logs.written(where, "doctor", ["doctor"], debug=False, lasting=False):
        pass
    assert not (tmp_path / "root").exists()
    with pytest.raises(KeyError), logs.written(where, "doctor", ["doctor"], debug=False, lasting=False):
        raise KeyError("planted")
    text = newest(tmp_path / "root", "doctor")
    assert "command: skewless doctor" in text and "KeyError: 'planted'" in text


@pytest.mark.dbt
def test_the_log_of_a_build_names_its_steps_and_why_it_was_unchanged(tmp_path: Path) -> None:
    built = make_toy(tmp_path / "toy")
    built.skewless("ingest", "toy")
    built.skewless("build", "toy")
    assert "dbt build" in newest(built.root, "build")
    built.skewless("build", "toy")
    assert re.search(r"unchanged", newest(built.root, "build"))


def test_sigterm_ends_a_verb_with_its_sentence_and_its_log(toy: Checkout) -> None:
    toy.skewless("ingest", "toy")
    process = subprocess.Popen(
        toy.command("build", "toy"), cwd=toy.folder, env=toy.environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    until = time.monotonic() + 30
    while time.monotonic() < until and not _dbt_of(process.pid):
        time.sleep(0.02)
    (child,) = _dbt_of(process.pid)
    process.terminate()
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 143 and "error: terminated" in said and "Traceback" not in said
    assert not Path("/proc", str(child)).exists()
    assert "KeyboardInterrupt" in newest(toy.root, "build")


def _dbt_of(pid: int) -> list[int]:
    """The children that are dbt, or about to become it."""
    return [child for child in _children(pid) if b"dbt" in Path("/proc", str(child), "cmdline").read_bytes()]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] if os.path.exists(f"/proc/{pid}") else []
