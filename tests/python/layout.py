"""The plan of the package `ml`, from the bottom up: which module may import which, and what it must not load.

`python tests/python/layout.py` prints it. A module imports only modules that are listed above it, on its own floor or on a lower one;
test_layout.py enforces that, and that no module is missing here. A new module gets a line at the place where its imports allow it.
"""

from dataclasses import dataclass

NEVER = ("bentoml", "dbt", "evidently", "matplotlib", "pandas", "sklearn")  # heavy: imported where they are used, never with a module


@dataclass(frozen=True)
class Module:
    """A module or package of `ml`: what it is for, and the libraries besides NEVER that importing it must not load."""

    name: str
    job: str
    never: tuple[str, ...] = ()


LIGHT = ("duckdb", "pyarrow", "sqlglot", "torch")

FLOORS: tuple[tuple[Module, ...], ...] = (
    (
        Module("errors", "the errors that a user sees, each with an exit code", LIGHT),
        Module("hashing", "content hashes and hash buckets", LIGHT),
        Module("metrics", "errors, calibration and paired differences, by numpy alone", LIGHT),
        Module("storage", "the storage root: read, write, publish whole or not at all, lock", LIGHT),
        Module("console", "progress and tables in a terminal", LIGHT),
        Module("children", "processes that end with the one that started them", LIGHT),
        Module("records", "frozen dataclasses to JSON and back", LIGHT),
    ),
    (Module("contract", "the YAML meta of the models as validated dataclasses, and the feature SQL for requests", ("torch",)),),
    (Module("provenance", "what code, files and versions a stored result depends on", ("duckdb", "torch")),),
    (Module("places", "where every artifact is stored, by name and id", ("duckdb", "torch")),),
    (Module("warehouse", "dbt and the engine: build, read, export", ("torch",)),),
    (
        Module("ingest", "files, downloads and object stores to raw Parquet", ("duckdb", "torch")),
        Module("profile", "the shape of a raw table", ("torch",)),
        Module("simulate", "invented raw files", ("torch",)),
    ),
    (
        Module("encoding", "columns to numbers and codes, fitted on train", ("torch",)),
        Module("dataset", "shards of a snapshot as batches of tensors"),
        Module("snapshot", "features, lookups, contract, SQL and requests frozen under one id", ("torch",)),
    ),
    (Module("network", "the one file to replace: layers and heads", ("duckdb",)),),
    (Module("predictor", "features to predictions", ("duckdb",)),),
    (
        Module("train", "training loop, checkpoints, calibration, learning curve"),
        Module("evaluate", "metrics by split and slice, baselines, permutation"),
    ),
    (Module("online", "request rows parsed, and the feature SQL compiled for them", ("sqlglot", "torch")),),
    (Module("answers", "rows to answers and refusals, in the one order", ("sqlglot",)),),
    (
        Module("bundle", "everything that answers a request, in one folder", ("torch",)),
        Module("registry", "versions and the champion", ("torch",)),
        Module("batch", "predictions for files and tables"),
        Module("smoke_test", "the service started and asked once", ("torch",)),
        Module("gate", "challenger against champion"),
    ),
    (
        Module("ledger", "one row for each step that ran", LIGHT),
        Module("quality", "what was kept, quarantined and rejected, for each load"),
        Module("drift", "the prediction log against training", ("torch",)),
        Module("doctor", "is this machine and storage sound", LIGHT),
        Module("report", "the site of one page", ("torch",)),
    ),
    (
        Module("verbs", "one function and one declaration for each verb", ("torch",)),
        Module("cli", "the command line", LIGHT),
    ),
)

# Files that nothing in ml imports, and which may therefore look up.
GENERATORS = {"ml/verbs/reference.py": "writes a page of the documentation from the parser of the command line"}
MODULES = {module.name: module for floor in FLOORS for module in floor}
FLOOR_OF = {module.name: number for number, floor in enumerate(FLOORS) for module in floor}
SERVING = {"answers", "bundle", "contract", "online", "places", "predictor", "provenance", "registry", "storage"}


def above(name: str) -> set[str]:
    """The modules that are listed above this one, which are those that it may import."""
    names = list(MODULES)
    return set(names[: names.index(name)])


def main() -> None:
    for number, floor in reversed(list(enumerate(FLOORS))):
        for module in reversed(floor):
            print(f"{number:>5}  {module.name:<12}{module.job}")


if __name__ == "__main__":
    print("floor  module      job      (a module imports only what is printed below it)")
    main()
