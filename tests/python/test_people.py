"""What people do to a program: wrong names, Ctrl-C, a full disk, a champion that is gone. Each verb says the cause and the next step."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Checkout

from ml.verbs import VERBS

# Any writing of more than this fails as on a full disk; signal and limit are set before the program starts.
FULL = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); from ml.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def full(lived: Checkout) -> Path:
    """A root of its own for the disk to run full on."""
    root = lived.folder / "full"
    shutil.copytree(lived.root, root)
    lived.skewless("build", "toy", "--root", str(root))  # the views name the root
    return root


def said(checkout: Checkout, command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, cwd=checkout.folder, env=checkout.environment(), capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_wrong_project_is_reported_by_every_verb(toy: Checkout, verb: str) -> None:
    more = ["in.csv"] if verb == "predict" else []
    text = toy.skewless(verb, "tyo", *more, code=2)
    assert "there is no project tyo" in text and "did you mean toy?" in text


@pytest.mark.parametrize("verb", ["serve", "predict", "drift", "promote"])
def test_a_champion_that_the_store_has_lost_is_reported(lived: Checkout, verb: str) -> None:
    record = lived.own / "champion"
    kept = record.read_text()
    record.write_text(json.dumps({**json.loads(kept), "version": "000000000000"}))
    (lived.folder / "in.csv").write_text("sent_at,depot\n2024-03-05T14:30:00,A\n")
    more = {"predict": ["in.csv", "-o", "out.csv"], "promote": ["--bundle", "111111111111"], "serve": ["--port", "3998"]}.get(verb, [])
    try:
        text = lived.skewless(verb, "toy", *more, code=3)
    finally:
        record.write_text(kept)
    assert "has no version" in text and "do: see: skewless models toy" in text


@pytest.mark.parametrize(
    ("verb", "size"),
    [("ingest", 4_000), ("snapshot", 2_000), ("train", 4_000), ("predict", 400), ("report", 20_000)],
)  # fmt: skip
def test_a_full_disk_is_reported_and_the_same_command_finishes_with_free_space(lived: Checkout, full: Path, verb: str, size: int) -> None:
    root, kept = full, full.with_name("kept")
    if verb == "ingest":
        shutil.move(root / "raw", kept)
    elif verb == "snapshot":
        shutil.rmtree(root / "workspaces/default/toy/snapshots")
    (lived.folder / "in.csv").write_text("sent_at,depot\n" + "2024-03-05T14:30:00,A\n" * 500)
    more = {"train": ["--epochs", "2", "--seed", "9"], "predict": ["in.csv", "-o", str(root / "out.parquet")]}.get(verb, [])
    arguments = [verb, "toy", *more, "--root", str(root)]
    code, text = said(lived, [*lived.command()[:1], "-c", FULL.format(size=size), *arguments])
    assert code == 1 and "Traceback" not in text and "error:" in text and "do:" in text, text
    assert not (root / "out.parquet").exists()
    code, text = said(lived, lived.command(*arguments))
    assert code == 0, text
    (root / "out.parquet").unlink(missing_ok=True)
    if verb == "ingest":  # the snapshot wants files that are older than its build
        shutil.rmtree(root / "raw")
        shutil.move(kept, root / "raw")


@pytest.mark.parametrize(("verb", "sign"), [("run", "build.lock"), ("build", "build.lock"), ("train", "toy/runs/*.checkpoint")])
def test_ctrl_c_is_an_answer_not_a_crash_and_leaves_nothing_behind(lived: Checkout, verb: str, sign: str) -> None:
    root = lived.folder / "stopped"
    shutil.rmtree(root, ignore_errors=True)
    arguments = [verb, "toy", "--root", str(root)]
    if verb == "train":
        shutil.copytree(lived.root, root)
        arguments += ["--epochs", "100", "--seed", "3"]
        lived.edit("ml/train/__init__.py", "patience: int = 6", "patience: int = 500")
    elif verb == "build":
        lived.skewless("ingest", "toy", "--root", str(root))
    process = subprocess.Popen(
        lived.command(*arguments), cwd=lived.folder, env=lived.environment(), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests in the background ignores it
    )  # fmt: skip
    until = time.monotonic() + 60
    while not list((root / "workspaces/default").glob(sign)) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in text and "interrupted" in text, text
    assert text.count("interrupted") == 1, text
    assert not [path for path in Path(root, "tmp").glob("*") if path.is_dir()] or verb == "run"
