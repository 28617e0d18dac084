"""The hot swap: each worker looks at the champion's record by itself, and serves another version without a restart."""

import logging
import threading

import prometheus_client

from serving.app import Champion

EVERY_SECONDS = 1.0
log = logging.getLogger("skewless.serving")


def start(champion: Champion, every: float = EVERY_SECONDS) -> threading.Event:
    """Watch the record in a thread parallel to the requests, until the event that comes back is set."""
    # Workers add up: the value is how many of them serve a version, or could not load one.
    serving = prometheus_client.Gauge(
        "skewless_champion", "Workers that serve this version", ["project", "version"], multiprocess_mode="livesum"
    )
    refused = prometheus_client.Gauge(
        "skewless_champion_refused", "Workers that could not load the champion of the record", ["project"], multiprocess_mode="livesum"
    )
    swaps = prometheus_client.Counter("skewless_swaps", "Looks at a changed record of the champion", ["project", "outcome"])
    stop = threading.Event()

    def watch() -> None:
        before = _version(champion)
        serving.labels(champion.project, before).set(1)
        refused.labels(champion.project).set(0)
        while not stop.wait(every):
            try:
                looked = champion.refresh()
            except OSError:
                log.exception("the record of the champion could not be looked at")
                continue
            if not looked:
                continue
            after = _version(champion)
            if after != before:
                serving.labels(champion.project, before).set(0)
                serving.labels(champion.project, after).set(1)
                before = after
                swaps.labels(champion.project, "swapped").inc()
            refused.labels(champion.project).set(1 if champion.refused else 0)
            if champion.refused:
                swaps.labels(champion.project, "refused").inc()

    threading.Thread(target=watch, name="champion", daemon=True).start()
    return stop


def _version(champion: Champion) -> str:
    return champion.served.bundle.id if champion.served else ""
