"""The verbs: each a function that calls its module and says in one line what was done and where the result is.

Modules of `ml` are imported inside the functions, so that `skewless --help` and the quick verbs do not wait for torch.
"""

from types import ModuleType

from ml.verbs import data, network, run, version, watch
from ml.verbs.verb import Verb


def _declared(module: ModuleType) -> list[Verb]:
    """The verbs whose functions are written in a module, in its order."""
    return [value for value in vars(module).values() if isinstance(value, Verb) and value.function.__module__ == module.__name__]


VERBS: dict[str, Verb] = {verb.name: verb for module in (run, data, network, version, watch) for verb in _declared(module)}
