"""Where every artifact is stored, by project, model and id; and which one is meant where no id is given.

A verb that makes an artifact records it as the current one. That is only a default: every verb takes the id itself, so
that two people, or two runs, work at the same time in one workspace.
"""

import difflib
from dataclasses import dataclass

from ml import storage
from ml.errors import GateError, UsageError
from ml.storage import Storage

MADE_BY = {"snapshot": "snapshot", "run": "train", "bundle": "package"}  # kind of artifact: the verb that makes it
CALLED = {"snapshot": "snapshot", "run": "training run", "bundle": "packaged version"}


@dataclass(frozen=True)
class Places:
    """The keys of one model's artifacts in a workspace. A project has one model for now, so its name adds no folder."""

    where: Storage
    project: str
    model: str = ""

    def _key(self, *parts: str) -> str:
        return self.where.own(self.project, *([self.model] if self.model else []), *parts)

    def build(self) -> str:
        return self._key("build.json")

    def snapshot(self, identity: str) -> str:
        return self._key("snapshots", identity)

    def run(self, identity: str) -> str:
        return self._key("runs", identity)

    def checkpoint(self, run: str) -> str:
        return self._key("runs", f"{run}.checkpoint")

    def metrics(self, run: str) -> str:
        return self._key("runs", f"{run}.metrics.json")

    def answers(self, run: str) -> str:
        """A sample of the answers behind the metrics, for pictures."""
        return self._key("runs", f"{run}.answers.parquet")

    def ablation(self, run: str) -> str:
        return self._key("runs", f"{run}.ablation.json")

    def curve(self) -> str:
        return self._key("curve.json")

    def baselines(self, made_from: str) -> str:
        return self._key("baselines", f"{made_from}.npz")

    def bundle(self, identity: str) -> str:
        return self._key("bundles", identity)

    def packaged(self, made_from: str) -> str:
        """Which bundle came of packaging the same things before."""
        return self._key("packaged", f"{made_from}.json")

    def receipt(self, bundle: str, code: str) -> str:
        return self._key("receipts", bundle, f"{code}.json")

    def version(self, bundle: str) -> str:
        """A bundle in BentoML's store, from which it is served."""
        return self.where.own("bentoml", "models", self.project, bundle)

    def champion(self) -> str:
        return self._key("champion")

    def comparison(self, challenger: str, champion: str) -> str:
        return self._key("comparisons", f"{challenger}-{champion}.json")

    def smoke_tests(self) -> str:
        return self._key("smoke_tests")

    def smoke_test(self, made_from: str) -> str:
        return f"{self.smoke_tests()}/{made_from}.json"

    def predictions(self) -> str:
        """The log of what the service answered."""
        return self._key("predictions")

    def batch(self, name: str) -> str:
        return self._key("batches", name)

    def drift(self) -> str:
        return self._key("drift")

    def outcomes(self) -> str:
        return self._key("outcomes")

    def profiles(self) -> str:
        return self._key("profiles")

    def quality(self) -> str:
        """What the rules found in the last build, and of a simulation's truth."""
        return self._key("quality.json")

    def report(self) -> str:
        """What the page was made from."""
        return self._key("report.json")

    def site(self) -> str:
        return self.where.own("site", f"{self.project}.html")

    def pointer(self, kind: str) -> str:
        return self._key(f"{kind}.json")

    def artifact(self, kind: str, identity: str) -> str:
        return {"snapshot": self.snapshot, "run": self.run, "bundle": self.bundle}[kind](identity)


def identity(places: Places, kind: str, given: str | None = None) -> str:
    """The id of a `snapshot`, `run` or `bundle`: the one that is given, or the one that was made last.

    Raises:
        UsageError: for an id that is not stored.
        GateError: where none is given and none was made.
    """
    verb, workspace, missing = MADE_BY[kind], places.where.workspace, f"project {places.project} has no {CALLED[kind]}"
    if given is not None:
        known = known_ids(places, kind)
        if given not in known:
            near = difflib.get_close_matches(given, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known[-5:])}" if known else f"make one: skewless {verb}"
            raise UsageError(f"{missing} {given} in workspace {workspace}", hint)
        return given
    pointer = storage.read_json(places.where, places.pointer(kind))
    if pointer is None or not storage.exists(places.where, places.artifact(kind, pointer["id"])):
        raise GateError(
            f"project {places.project} has no {CALLED[kind]} in workspace {workspace}", f"run: skewless {verb} {places.project}"
        )
    return str(pointer["id"])


def known_ids(places: Places, kind: str) -> list[str]:
    """The ids of all artifacts of a kind, sorted."""
    folder = places.artifact(kind, "").rstrip("/")
    return [name for name in storage.names(places.where, folder) if "." not in name]


def make_current(places: Places, kind: str, identity: str) -> None:
    """What verbs mean from now on when no id is given."""
    storage.write_json(places.where, places.pointer(kind), {"id": identity})
