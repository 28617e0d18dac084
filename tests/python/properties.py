"""How the property tests draw: fixed examples in `make test`, other ones and more of them in `make test-properties`.

`make test` must not fail by chance, so the profile "ci" derives its draws from the test alone and keeps no database. What
"search" finds is fixed and then kept as an `@example` of its test, which both profiles run.
"""

import os

from hypothesis import HealthCheck, settings

CI_EXAMPLES = 100
SEARCH = "PROPERTY_EXAMPLES"  # the environment variable of `make test-properties EXAMPLES=...`


def searched() -> int | None:
    """The examples that each property shall draw in a search; None in the profile "ci"."""
    text = os.environ.get(SEARCH)
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{SEARCH} must be a whole number from 1 on, got {text!r}")
    return int(text)


def examples(count: int) -> int:
    """For `@settings(max_examples=examples(40))`: 40 in the profile "ci", as many as were asked for in a search."""
    return searched() or count


def register() -> None:
    """Register both profiles and load the one that the environment names; called once, before any test module is imported."""
    common = {"deadline": None, "database": None, "print_blob": False}
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]  # a shared machine may be slow in any draw
    settings.register_profile("ci", max_examples=CI_EXAMPLES, derandomize=True, suppress_health_check=slow, **common)
    settings.register_profile("search", max_examples=examples(CI_EXAMPLES), derandomize=False, suppress_health_check=slow, **common)
    settings.load_profile("search" if searched() else "ci")
