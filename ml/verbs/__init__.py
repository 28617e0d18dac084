"""One function for each verb: call its room, and say in one line what was done and where the result lies.

Rooms are imported inside the functions, so that `skewless --help` and the quick verbs do not wait for torch.
"""

from collections.abc import Callable

from ml.verbs import data, network, version, watch
from ml.verbs.outcome import Context, Outcome


def run(context: Context) -> Outcome:
    from ml.verbs import run

    return run.run(context)


VERBS: dict[str, Callable[[Context], Outcome]] = {
    "run": run,
    "ingest": data.ingest,
    "profile": data.profile,
    "build": data.build,
    "quality": data.quality,
    "check": data.check,
    "snapshot": data.snapshot,
    "train": network.train,
    "evaluate": network.evaluate,
    "package": version.package,
    "promote": version.promote,
    "rollback": version.rollback,
    "models": version.models,
    "serve": version.serve,
    "predict": version.predict,
    "drift": watch.drift,
    "cost": watch.cost,
    "report": watch.report,
    "doctor": watch.doctor,
}
