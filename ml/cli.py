"""The command line: `skewless VERB [PROJECT]`. Parses, measures, logs and prints; the work is done in verbs/."""

import argparse
import contextlib
import difflib
import errno
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ml import console, ledger, logs
from ml.errors import SkewlessError, UsageError
from ml.storage import Storage, open_storage, remove_leftovers
from ml.verbs import VERBS
from ml.verbs.outcome import Context, Outcome, project_names
from ml.verbs.verb import Option, Verb, flag, option

log = logging.getLogger("ml.cli")  # `python -m ml.cli` has another __name__
ABOUT = """Declare a target on a dbt model; get a trained, served and monitored network whose features,
online and offline, are the SQL that analysts edit.

  skewless run flights          everything: files in, a served prediction out
  skewless serve flights        answer requests with the champion
  skewless VERB --help          what a verb does, with an example"""

ENDING = """PROJECT is a folder of models/; the only one, or SKEWLESS_PROJECT, if left out.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a gate said no (a red build, a receipt, a worse challenger, drift).
Settings: SKEWLESS_ROOT (storage root, .skewless), SKEWLESS_WORKSPACE (default), SKEWLESS_PROJECT,
SKEWLESS_MEMORY (of the engine, 4GB). All of them: docs/reference/command-line.md"""

COMMON = (
    flag("--json", "print one JSON object, also on failure"),
    flag("--debug", "print the log to standard error too, with the traceback of a failure"),
    option("--workspace", help="whose copy to work in; SKEWLESS_WORKSPACE or default, if left out"),
    option("--root", help="storage root; SKEWLESS_ROOT or the checkout's .skewless, if left out"),
)
INTERRUPTED, TERMINATED = 130, 143  # as shells count the signals 2 and 15


class Parser(argparse.ArgumentParser):
    """argparse, with this program's form of errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see: {self.prog} --help")


def project_argument(verb: Verb) -> Option:
    rest = "all of them if left out" if verb.project_optional else "the only one, or SKEWLESS_PROJECT, if left out"
    return option("project", help=f"a folder of models/; {rest}", nargs="?")


def parser() -> argparse.ArgumentParser:
    """All verbs and options, as they are declared."""
    as_written = argparse.RawDescriptionHelpFormatter
    top = Parser(prog="skewless", description=ABOUT, epilog=ENDING, formatter_class=as_written)
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for verb in VERBS.values():
        description = verb.help[0].upper() + verb.help[1:] + "."
        added = verbs.add_parser(
            verb.name, help=verb.help, description=description, epilog=f"example: {verb.example}", formatter_class=as_written
        )
        for declared in (project_argument(verb), *verb.options, *COMMON):
            declared.add_to(added)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code."""
    os.environ.update({"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"})
    # OpenMP threads spin while they wait for each other; next to another program on the same cores torch is then several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    line = sys.argv[1:] if arguments is None else arguments
    console.prepare_streams()
    try:
        return _main(line)
    finally:
        console.finish_streams()


def _main(line: list[str]) -> int:
    given = argparse.Namespace(verb=next((word for word in line if word in VERBS), None), project=None, json="--json" in line)
    found = None
    try:
        given = parser().parse_args(line)
        verb, checkout = VERBS[given.verb], _checkout()
        where = open_storage(
            given.root or os.environ.get("SKEWLESS_ROOT") or str(checkout / ".skewless"),
            given.workspace or os.environ.get("SKEWLESS_WORKSPACE") or "default",
        )
        with logs.written(where, verb.name, line, given.debug, verb.is_recorded(given)) as found, _sigterm_as_interrupt():
            outcome = _run(verb, given, where, checkout)
            _print(given, outcome)
            return outcome.code
    except (Exception, KeyboardInterrupt) as error:
        return _failed(error, given, found)


def _run(verb: Verb, given: argparse.Namespace, where: Storage, checkout: Path) -> Outcome:
    if not (verb.project_optional and given.project is None):
        given.project = _project(given.project, project_names(checkout))
    bar = console.Bar()
    context = Context(where, checkout, given.project or "", bar, given)
    try:
        if not verb.is_recorded(given):
            outcome = verb(context)
        else:
            remove_leftovers(where)
            with ledger.step(where, verb.name, context.project) as entry:
                outcome = verb(context)
                entry.unchanged, entry.rows, entry.bytes = outcome.unchanged, outcome.rows, outcome.bytes
    finally:
        bar.close()
    log.info("done, exit code %d%s: %s", outcome.code, ", unchanged" if outcome.unchanged else "", outcome.summary)
    return outcome


def _print(given: argparse.Namespace, outcome: Outcome) -> None:
    if given.json:
        said: dict[str, Any] = {"verb": given.verb, "project": given.project or "", "summary": outcome.summary}
        _print_json({**said, "unchanged": outcome.unchanged, **outcome.details})
    else:
        console.show(*outcome.shown)
        unchanged = " (unchanged)" if outcome.unchanged and given.verb != "run" else ""
        console.show(f"{given.verb}: {console.plain(outcome.summary)}{unchanged}")


def _failed(error: BaseException, given: argparse.Namespace, found: logs.VerbLog | None) -> int:
    """Print a failure, on standard output too where JSON is asked for; the exit code."""
    failure, code = _explained(error)
    place = failure.log or (found.place if found else "")
    is_step = given.json and os.environ.get("SKEWLESS_RUN_ID")  # then `skewless run` prints the error that it reads from the JSON
    if not is_step:
        console.complain(failure, place)
    if given.json:
        about = {"message": str(failure), "hint": failure.hint, "type": type(error).__name__}
        path = failure.log or (str(found.path) if found and found.path else None)
        with contextlib.suppress(OSError):  # where the failure is that standard output cannot be written
            _print_json({"verb": given.verb, "project": given.project, "error": about, "exit_code": code, "log": path})
    return code


def _explained(error: BaseException) -> tuple[SkewlessError, int]:
    """What ended a verb, in this program's form, and its exit code."""
    if isinstance(error, SkewlessError):
        return error, error.exit_code
    if isinstance(error, KeyboardInterrupt):
        terminated = error.args == (signal.SIGTERM,)
        ended = SkewlessError("terminated" if terminated else "interrupted", "what was finished is kept; the same command continues")
        return ended, TERMINATED if terminated else INTERRUPTED
    if isinstance(error, OSError):
        return _os_error(error), 1
    text = str(error)
    return SkewlessError(f"unexpected {type(error).__name__}{': ' if text else ''}{text[:500]}"), 1


def _print_json(value: dict[str, Any]) -> None:
    console.write_out(json.dumps(value, ensure_ascii=not console.is_unicode(sys.stdout), default=str) + "\n")


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the verb as Ctrl-C does: with its children ended, its temporary files removed and its log written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: object) -> NoReturn:
        raise KeyboardInterrupt(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _checkout() -> Path:
    """The nearest folder upwards with a dbt project."""
    start = Path(os.environ.get("SKEWLESS_CHECKOUT", Path.cwd())).absolute()
    for folder in (start, *start.parents):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise UsageError(f"there is no dbt_project.yml in {start} or above it", "change into the checkout")


def _project(given: str | None, known: list[str]) -> str:
    named = given or os.environ.get("SKEWLESS_PROJECT") or (known[0] if len(known) == 1 else None)
    if named is None:
        raise UsageError(f"which project? there are {', '.join(known)}", "name one after the verb, or set SKEWLESS_PROJECT")
    if named not in known:
        near = difflib.get_close_matches(named, known, 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
        raise UsageError(f"there is no project {named} under models/", meant)
    return named


def _os_error(error: OSError) -> SkewlessError:
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SkewlessError(f"the disk is full{place}", "free some space and give the same command again; nothing was left half-written")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return SkewlessError(f"may not write or read{place}: {error.strerror}", "set SKEWLESS_ROOT to a folder that is yours")
    return SkewlessError(f"{error.strerror or error}{place}", "see the name above")


if __name__ == "__main__":
    sys.exit(main())
