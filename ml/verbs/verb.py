"""How a verb is declared: once, at its function. The parser, the help, the ledger and the reference page read the declaration."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ml.verbs.outcome import Context, Outcome

Function = Callable[[Context], Outcome]


@dataclass(frozen=True)
class Option:
    """An option (`names` begin with a dash) or an argument of a verb, in the terms of argparse."""

    names: tuple[str, ...]
    help: str
    type: Callable[[str], Any] = str
    default: Any = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    nargs: str | None = None
    flag: bool = False

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        if self.flag:
            parser.add_argument(*self.names, help=self.help, action="store_true")
            return
        parser.add_argument(
            *self.names, help=self.help, type=self.type, default=self.default, metavar=self.metavar, choices=self.choices, nargs=self.nargs
        )


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    `ledger`: whether a run is a row of the ledger; the name of an option where only a run with that option is.
    `project_optional`: whether the verb works on all projects where none is named.
    """

    function: Function
    help: str
    example: str
    options: tuple[Option, ...] = ()
    ledger: bool | str = True
    project_optional: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    def __call__(self, context: Context) -> Outcome:
        return self.function(context)

    def is_recorded(self, given: argparse.Namespace) -> bool:
        """Whether this run is a row of the ledger."""
        return bool(getattr(given, self.ledger)) if isinstance(self.ledger, str) else self.ledger


def declare(
    help: str, example: str, options: tuple[Option, ...] = (), ledger: bool | str = True, project_optional: bool = False
) -> Callable[[Function], Verb]:
    """Declare the decorated function as the verb of its name."""
    return lambda function: Verb(function, help, example, options, ledger, project_optional)


def option(*names: str, help: str, **settings: Any) -> Option:
    return Option(names, help, **settings)


def flag(name: str, help: str) -> Option:
    return Option((name,), help, flag=True)


# Options that several verbs take.
EPOCHS = option("--epochs", help="at most this many passes over the train split", type=int)
SEED = option("--seed", help="of weights and shuffles; a constant, not a setting to tune", type=int)
SNAPSHOT = option("--snapshot", help="which snapshot; the current one if left out", metavar="ID")
RUN = option("--run", help="which training run; the one trained last if left out", metavar="ID")
BUNDLE = option("--bundle", help="which bundle; the champion if left out", metavar="ID")
NO_PAGE = flag("--no-page", help="leave out Evidently's HTML page")
