"""The BentoML service. `bentoml serve serving.service:Predictor` with SKEWLESS_PROJECT set; `skewless serve` does that."""

import os
import sys


class WithoutPandas:
    """pyarrow imports pandas where it is installed, and the service does not use it: half a second and 60 MB of every worker."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the service does without pandas", name=name)


sys.meta_path.insert(0, WithoutPandas)

import bentoml  # noqa: E402

from serving import swap  # noqa: E402
from serving.app import Champion, build_app  # noqa: E402

champion = Champion(
    root=os.environ.get("SKEWLESS_ROOT", ".skewless"),
    workspace=os.environ.get("SKEWLESS_WORKSPACE", "default"),
    project=os.environ.get("SKEWLESS_PROJECT", ""),
    source=os.environ.get("SKEWLESS_SOURCE", "request"),
    pinned=os.environ.get("SKEWLESS_BUNDLE") or None,
)


@bentoml.service(name="skewless", workers=1, traffic={"timeout": 30})
@bentoml.asgi_app(build_app(champion), path="/")
class Predictor:
    """Loads the champion when the worker starts, and watches it; the routes are in app.py, next to BentoML's own."""

    def __init__(self) -> None:
        champion.load()
        self.stop = swap.start(champion)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # bentoml leaves it untyped
    def stop_watching(self) -> None:
        self.stop.set()

    async def __is_ready__(self) -> bool:
        return champion.served is not None
