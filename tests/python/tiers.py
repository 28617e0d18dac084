"""The tiers of the tests. Markers come from the fixtures that a test uses; a fast test that starts a verb, dbt or a server fails.

fast    none of the others: functions, files and the engine within the test's own process
dbt     runs a verb of the command line, or dbt, on a project
server  starts the service and asks it over HTTP
slow    starts nothing of that and still takes more than ten seconds
deep    what goes beyond one `make run`: increments, hot swaps, other engines; `make test-deep`, by whole files
"""

import os
import sys
from collections.abc import Sequence

import pytest

DBT_FIXTURES = {"toy", "lived_once", "lived"}
SERVER_FIXTURES = {"client", "port"}  # of test_serving and test_swap: the port of a service that runs
SLOW_MARKERS = ("dbt", "server")  # a test that has one may start anything
COMMANDS = {"dbt", "skewless", "bentoml"}
DEEP_FILES = {"test_by_load", "test_swap", "test_taxi_increments", "test_warehouse"}
# Workers take files in this order, the longest first, so that none is left alone with a long one at the end.
LONG_FILES = (
    "test_life",
    "test_flights",
    "test_taxi",
    "test_gate",
    "test_receipts",
    "test_cli",
    "test_doctor",
    "test_drift_windows",
    "test_scale",
)
SHELLS = {"sh", "bash", "dash"}
MODULES = {"ml.cli", "dbt", "dbt.cli.main", "bentoml"}


def markers(fixtures: Sequence[str]) -> set[str]:
    """The markers of a test that uses these fixtures, directly or through others."""
    used = set(fixtures)
    return ({"dbt"} if used & DBT_FIXTURES else set()) | ({"server"} if used & SERVER_FIXTURES else set())


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests with those of long files first, else as they were collected."""
    place = {name: number for number, name in enumerate(LONG_FILES)}
    return sorted(items, key=lambda item: place.get(item.path.stem, len(place)))


def slow_command(command: object) -> str | None:
    """The word of a command line by which it is a verb, dbt or a server; None for any other."""
    given: Sequence[object] = command if isinstance(command, (list, tuple)) else str(command).split()
    words = [os.fsdecode(word) if isinstance(word, (str, bytes, os.PathLike)) else str(word) for word in given]
    if "-c" in words and os.path.basename(words[0]) in SHELLS:
        words = [word for word in " ".join(words).split() if os.path.basename(word) in COMMANDS]  # anywhere in the shell's script
    for place, word in enumerate(words):
        if os.path.basename(word) in COMMANDS and place < 2:  # the command, or a script after its interpreter
            return word
        if word == "-m" and words[place + 1 : place + 2] and words[place + 1] in MODULES:
            return words[place + 1]
    return None


def guard(current: dict[str, pytest.Item]) -> None:
    """Watch every process that this one starts from here on, in the name of the test in `current["item"]`.

    An audit hook sees every way to start a process, also that of a library. It cannot be removed again, so it is set once for a run.
    """

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        item = current.get("item")
        if event != "subprocess.Popen" or item is None or any(item.get_closest_marker(name) for name in SLOW_MARKERS):
            return
        found = slow_command(arguments[1])
        if found:
            raise AssertionError(
                f"{item.nodeid} is in the fast tier and starts {found}; mark it @pytest.mark.dbt or server, or call the function itself"
            )

    sys.addaudithook(watch)
