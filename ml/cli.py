"""The command line: `skewless VERB [PROJECT]`. Parses, measures, prints; what is done is in verbs/."""

import argparse
import difflib
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from ml.errors import SkewlessError, UsageError

ABOUT = """Declare a target on a dbt model; get a trained, served and monitored network whose features,
online and offline, are the SQL that analysts edit.

  skewless run flights          everything: files in, a served prediction out
  skewless serve flights        answer requests with the champion
  skewless VERB --help          what a verb does, with an example"""

ENDING = """PROJECT is a folder of models/; the only one, or SKEWLESS_PROJECT, if left out.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a gate said no (a red build, a receipt, a worse challenger, drift).
Settings: SKEWLESS_ROOT (storage root, .skewless), SKEWLESS_WORKSPACE (default), SKEWLESS_PROJECT,
SKEWLESS_MEMORY (of the engine, 4GB)."""

HELP = {
    "run": ("all steps, from files to a served prediction; what has not changed is not redone", "skewless run flights"),
    "ingest": ("files to raw Parquet: every column stays text, rejects are kept", "skewless ingest flights more.csv.gz"),
    "profile": ("the shape of a raw table: types, nulls, ranges, what looks wrong", "skewless profile flights weather"),
    "build": ("dbt build of the project, unless nothing has changed", "skewless build flights"),
    "quality": ("what the rules found, and on simulated files how much of the truth they see", "skewless quality taxi"),
    "check": ("read the contract and refuse feature SQL that could not run online", "skewless check flights --json"),
    "snapshot": ("freeze a green build: feature shards, lookups, contract, request rows", "skewless snapshot flights"),
    "train": ("train the network on the current snapshot; continues a run that was killed", "skewless train flights --epochs 5"),
    "evaluate": ("metrics on test and out-of-time rows beside the baselines", "skewless evaluate flights --json"),
    "package": ("write the bundle, with the receipt that online features equal the warehouse's", "skewless package flights"),
    "promote": (
        "make a version the champion, the one that serves, unless it is worse on test",
        "skewless promote flights --bundle 5eb5d0b00f02",
    ),
    "rollback": ("put the champion before this one back", "skewless rollback flights"),
    "models": ("list the versions of a project", "skewless models flights"),
    "serve": ("answer HTTP requests with the champion", "skewless serve flights --port 3000"),
    "predict": ("answer a whole CSV or Parquet file with the champion", "skewless predict flights flights.csv -o answers.parquet"),
    "drift": ("compare what was predicted, window by window, with the reference sample", "skewless drift flights --outcomes truth.csv"),
    "report": ("write one page about the project: data, model, drift, cost", "skewless report flights"),
    "cost": ("what each step used, summed from the ledger", "skewless cost flights"),
    "doctor": ("check the machine, the installation and what is stored; says what to do", "skewless doctor --deep"),
}
SOURCES = (
    "files, folders, globs, zips, .gz, .bz2, Parquet, http(s):// or s3://; told apart by their headers; "
    "what the project declares if left out"
)


class Parser(argparse.ArgumentParser):
    """argparse, with this program's form of errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see: {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """All verbs and options."""
    plain = argparse.RawDescriptionHelpFormatter
    top = Parser(prog="skewless", description=ABOUT, epilog=ENDING, formatter_class=plain)
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for name, (text, example) in HELP.items():
        verb = verbs.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example: {example}", formatter_class=plain
        )
        verb.add_argument("project", nargs="?", help="a folder of models/" + ("; all of them if left out" if name == "doctor" else ""))
        if name == "ingest":
            verb.add_argument("source", nargs="*", help=SOURCES)
            verb.add_argument("--simulate", type=int, metavar="ROWS", help="invent so many rows of dirty files, with the truth beside them")
            verb.add_argument("--seed", type=int, default=1, help="of the simulation: the same rows and seed give the same bytes")
            verb.add_argument(
                "--beside", action="store_true", help="keep a file beside an earlier one of its name, instead of in its place"
            )
        if name == "profile":
            verb.add_argument("table", nargs="?", help="a raw table; they are listed if left out")
        if name == "doctor":
            verb.add_argument("--deep", action="store_true", help="also read every raw file and hash every snapshot, run and bundle")
        if name in ("run", "train"):
            verb.add_argument("--epochs", type=int, help="at most this many passes over the train split")
            verb.add_argument("--seed", type=int, help="of weights and shuffles; a constant, not a thing to tune")
        if name == "train":
            verb.add_argument("--sample", type=float, help="only this share of the train rows, by hash: 0.01 lies inside 0.1")
            verb.add_argument("--curve", action="store_true", help="also the tuning error over nested samples: what more data buys")
        if name in ("train", "drift"):
            verb.add_argument("--snapshot", metavar="ID", help="on which snapshot; the current one if left out")
        if name in ("evaluate", "package"):
            verb.add_argument("--run", metavar="ID", help="which training run; the one trained last if left out")
        if name in ("package", "serve", "predict", "drift"):
            means = "certify this bundle for the code as it is now" if name == "package" else "which bundle; the champion if left out"
            verb.add_argument("--bundle", metavar="ID", help=means)
        if name == "evaluate":
            verb.add_argument("--ablate", action="store_true", help="also what each feature is worth, by shuffling it on validation")
        if name == "promote":
            verb.add_argument("--bundle", "--version", metavar="ID", help="which; the one packaged last if left out")
            verb.add_argument("--keep-rollback", action="store_true", help="change nothing where this version was rolled back")
            verb.add_argument("--force", action="store_true", help="even if it is worse than the champion; the record says so")
        if name == "predict":
            verb.add_argument("file", help="csv, csv.gz, csv.zip or parquet, with the inputs as columns; others are carried along")
            verb.add_argument("-o", "--out", help="a .parquet or .csv file; among the workspace's predictions, for dbt, if left out")
        if name == "serve":
            verb.add_argument("--port", type=int, default=3000)
            verb.add_argument("--host", default="127.0.0.1")
            verb.add_argument("--check", action="store_true", help="start on a free port, ask about held-back rows, stop")
        if name in ("run", "drift"):
            verb.add_argument("--no-page", action="store_true", help="leave out Evidently's HTML page")
        if name == "drift":
            verb.add_argument("--window", choices=("hour", "day", "week", "month"), help="the finest that makes sense, if left out")
            verb.add_argument("--replay", action="store_true", help="judge the snapshot's out-of-time rows by their own time, not the log")
            verb.add_argument("--outcomes", metavar="FILE", help="CSV or Parquet: prediction_id and the target; kept, and live error told")
        verb.add_argument("--json", action="store_true", help="print one JSON object")
        verb.add_argument("--workspace", default=os.environ.get("SKEWLESS_WORKSPACE", "default"), help="whose copy to work in")
        verb.add_argument("--root", default=os.environ.get("SKEWLESS_ROOT"), help="storage root; .skewless of the checkout if left out")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code."""
    os.environ.update({"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"})
    # OpenMP threads spin while they wait for each other; beside another program on the same cores torch is then several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from ml.console import complain

    try:
        return _main(parser().parse_args(arguments))
    except SkewlessError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        complain(SkewlessError("interrupted", "what was finished stands; the same command continues"))
        return 130
    except OSError as error:
        complain(_os_error(error))
        return 1


def _main(given: argparse.Namespace) -> int:
    from ml import ledger
    from ml.console import Bar, show
    from ml.storage import open_storage
    from ml.verbs import VERBS
    from ml.verbs.outcome import Context, project_names
    from ml.verbs.run import StepFailed

    checkout = _checkout()
    where = open_storage(given.root or str(checkout / ".skewless"), given.workspace)
    known = project_names(checkout)
    project = "" if given.verb == "doctor" and given.project is None else _project(given.project, known)
    bar = Bar()
    context = Context(where, checkout, project, bar, given)
    try:
        if given.verb in ("models", "cost", "doctor", "quality") or (given.verb == "serve" and not given.check):
            outcome = VERBS[given.verb](context)
        else:
            with ledger.step(where, given.verb, project) as entry:
                outcome = VERBS[given.verb](context)
                entry.unchanged, entry.rows, entry.bytes = outcome.unchanged, outcome.rows, outcome.bytes
    except StepFailed as failed:
        return failed.code
    finally:
        bar.close()
    if given.json:
        said: dict[str, Any] = {"verb": given.verb, "project": project, "summary": outcome.summary, "unchanged": outcome.unchanged}
        print(json.dumps({**said, **outcome.details}, ensure_ascii=False, default=str))
    else:
        show(*outcome.shown)
        show(f"{given.verb}: {outcome.summary}{' (unchanged)' if outcome.unchanged and given.verb != 'run' else ''}")
    return outcome.code


def _checkout() -> Path:
    """The nearest folder upwards that holds a dbt project."""
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
