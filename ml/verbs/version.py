"""The verbs of a version: packaged, champion, served."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ml import records, storage
from ml.console import table
from ml.errors import UsageError
from ml.places import Places, identity, make_current
from ml.verbs.outcome import Context, Outcome, shown_path
from ml.verbs.verb import BUNDLE, RUN, declare, flag, option

if TYPE_CHECKING:  # only named: it would load numpy
    from ml.results import Comparison


@declare(
    "write the bundle, with the receipt that online features equal the warehouse's",
    "skewless package flights",
    (RUN, option("--bundle", help="no new one: certify this bundle for the code as it is now", metavar="ID")),
)
def package(context: Context) -> Outcome:
    from ml import bundle, registry
    from ml import evaluate as evaluating
    from ml.bundle import receipt

    given, places = context.arguments, Places(context.where, context.project)
    if given.bundle and given.run:
        raise UsageError("--bundle names a bundle that is packaged already, --run one to package", "give one of the two")
    if given.bundle:
        made, unchanged = identity(places, "bundle", given.bundle), True
    else:
        run = identity(places, "run", given.run)
        metrics, _ = evaluating.evaluate(context.where, context.project, run, context.progress)
        made, unchanged = bundle.write(places, run, metrics.snapshot, bundle.content_of(metrics))
    certified, known = receipt.certify(places, made, context.progress)
    tag = registry.add(context.where, context.project, storage.fetch(context.where, places.bundle(made)))
    if not given.bundle:
        make_current(places, "bundle", made)
    return Outcome(
        f"{tag}: receipt over {certified.verdict}",
        {"version": made, "bundle": made, "tag": tag, "receipt": certified.to_json(), "path": shown_path(context, places.bundle(made))},
        unchanged=unchanged and known, rows=certified.rows, bytes=storage.size(context.where, places.bundle(made)),
    )  # fmt: skip


@declare(
    "make a version the champion, the one that serves, unless it is worse on test",
    "skewless promote flights --bundle 5eb5d0b00f02",
    (
        option("--bundle", "--version", help="which; the one packaged last if left out", metavar="ID"),
        flag("--keep-rollback", help="change nothing where this version was rolled back"),
        flag("--force", help="even if it is worse than the champion; the record says so"),
    ),
)
def promote(context: Context) -> Outcome:
    from ml import registry

    def judge(challenger: Path, champion: Path) -> Comparison:
        from ml import gate  # torch takes seconds, and most promotions change nothing

        return gate.compare(Places(context.where, context.project), challenger, champion, context.progress)

    done = registry.promote(
        context.where, context.project, context.arguments.bundle, judge, context.arguments.force, context.arguments.keep_rollback
    )
    after = f", after {done.previous}" if done.previous else ""
    if done.comparison:
        after += f"{' by force' if done.forced else ''}: {done.comparison.says}"
    if done.withheld:
        after = f"; {done.withheld} was rolled back, and --bundle {done.withheld} brings it back"
    return Outcome(f"{context.project}:{done.version} is champion{after}", records.to_json(done), done.unchanged)


@declare("make the champion before this one champion again", "skewless rollback flights")
def rollback(context: Context) -> Outcome:
    from ml import registry

    done = registry.rollback(context.where, context.project)
    return Outcome(
        f"{context.project}:{done.version} is champion again, in place of {done.previous}",
        {"version": done.version, "previous": done.previous},
    )


@declare("list the versions of a project", "skewless models flights", ledger=False)
def models(context: Context) -> Outcome:
    from ml import registry

    found = registry.versions(context.where, context.project)
    metric = "rmse" if any("rmse" in version["test"] for version in found) else "log_loss"
    rows = [
        [("* " if version["champion"] else "  ") + version["version"], version["created_at"][:16].replace("T", " "), version["snapshot"],
         f"{version['test'].get(metric, float('nan')):.3f}", f"{version['out_of_time'].get(metric, float('nan')):.3f}",
         version["came"] or ""]
        for version in found
    ]  # fmt: skip
    shown = table(["  version", "created (UTC)", "snapshot", "test", "out_of_time", "champion by"], rows)
    return Outcome(
        f"{len(found)} versions of {context.project}, by {metric}; * is champion", {"versions": found}, shown=(shown,) if found else ()
    )


@declare(
    "answer a whole CSV or Parquet file with the champion",
    "skewless predict flights flights.csv -o answers.parquet",
    (
        option("file", help="csv, csv.gz, csv.zip or parquet, with the inputs as columns; others are carried along"),
        option("-o", "--out", help="a .parquet or .csv file; among the workspace's predictions, for dbt, if left out"),
        BUNDLE,
    ),
)
def predict(context: Context) -> Outcome:
    from ml import batch

    given = context.arguments
    folder = answering(context)
    out = Path(given.out) if given.out else None
    began = time.monotonic()
    books = batch.predict(context.where, context.project, folder, Path(given.file), out, context.progress)
    seconds = time.monotonic() - began  # of few rows, most of the time is start-up
    rate = f", {books.rows / seconds:,.0f} rows/s" if not books.unchanged and seconds > 10 else ""
    refused = f", rejects in {books.rejects}" if books.rejects else ""
    reasons = sorted(books.reasons.items(), key=lambda item: -item[1])
    shown = (table(["rejected by", "times"], [[name, f"{count:,}"] for name, count in reasons]),) if reasons else ()
    return Outcome(
        f"{books.rows:,} rows = {books.answered:,} answered + {books.rejected:,} rejected, {books.out}{refused}{rate}",
        {**vars(books)}, unchanged=books.unchanged, rows=books.rows, bytes=books.bytes, shown=shown,
        code=1 if books.rows and not books.answered else 0,
    )  # fmt: skip


def answering(context: Context) -> Path:
    """The folder of the bundle that answers: the one that is named, or the champion."""
    from ml import registry

    named = context.arguments.bundle
    if named:
        return registry.version_folder(context.where, context.project, named)
    return registry.champion_folder(context.where, context.project)


@declare(
    "answer HTTP requests with the champion",
    "skewless serve flights --port 3000",
    (
        option("--port", help="where to listen", type=int, default=3000),
        option("--host", help="the address to listen on", default="127.0.0.1"),
        flag("--check", help="start on a free port, ask about held-back rows, stop"),
        BUNDLE,
    ),
    ledger="check",  # a service does not end, so it writes no row
)
def serve(context: Context) -> Outcome:
    from ml import bundle, smoke_test
    from ml.bundle import receipt

    places, folder = Places(context.where, context.project), answering(context)
    about = bundle.verify(folder)
    receipt.require(places, about.id)
    if context.arguments.check:
        said, unchanged = smoke_test.smoke_test(places, context.checkout, folder, context.progress)
        error = f"RMSE {said['rmse']:.2f}" if "rmse" in said else f"Brier score {said['brier']:.4f}"
        return Outcome(
            f"{said['answered']:,} of {said['asked']:,} held-back rows answered, {error}; "
            f"p50 {said['p50_ms']} ms, p99 {said['p99_ms']} ms, {said['ratio_to_empty']} times an empty endpoint",
            said, unchanged=unchanged, rows=said["answered"],
        )  # fmt: skip
    host, port = context.arguments.host, context.arguments.port
    if not 0 < port < 65536:
        raise UsageError(f"--port must be in [1, 65535], got {port}", "choose another")
    if smoke_test.is_taken(host, port):
        raise UsageError(f"port {port} of {host} is taken", f"choose another: skewless serve {context.project} --port {port + 1}")
    from ml.console import show

    show(f"serving {context.project}:{about.id} on http://{host}:{port} until Ctrl-C")
    # This process becomes the service, so that stopping it stops the service and all of its workers.
    sys.stdout.flush()
    os.chdir(context.checkout)
    command = smoke_test.service_command(port, host)
    os.execve(command[0], command, smoke_test.service_environment(context.where, context.project, context.arguments.bundle))
