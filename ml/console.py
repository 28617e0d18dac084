"""What a person sees: progress bars on a terminal, aligned tables, errors that say what to do."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table

from ml.errors import SkewlessError

SHOW_AFTER_SECONDS = 1.0
IN_BYTES = ("reading", "writing", "downloading")  # labels that begin so count bytes, and are shown with their rate


class Bar:
    """A progress callback: call it with a label, what is done, and the total (0: unknown). Silent when not on a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._in_bytes = False
        self._tasks: dict[str, Any] = {}

    def __call__(self, label: str, done: float, total: float) -> None:
        if label.startswith("waiting for"):
            self._console.print(label, style="yellow", highlight=False)
            return
        if not self._console.is_terminal or time.monotonic() - self._began < SHOW_AFTER_SECONDS:
            return
        in_bytes = label.startswith(IN_BYTES)
        if self._progress is None or in_bytes != self._in_bytes:
            self.close()
            counted = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
            self._progress = Progress(
                TextColumn("  {task.description}"), BarColumn(), *counted, TimeElapsedColumn(), console=self._console, transient=True
            )
            self._progress.start()
            self._in_bytes, self._tasks = in_bytes, {}
        if label not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, visible=False)
            self._tasks[label] = self._progress.add_task(label, total=None)
        self._progress.update(self._tasks[label], completed=done, total=total or None)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def table(headers: list[str], rows: list[list[str]], title: str = "", prose: bool = False) -> Table:
    """A plain aligned table; every column but the first is right-aligned. With `prose` the last one is text, and alone may wrap."""
    made = Table(title=title or None, box=None, pad_edge=False, title_justify="left", header_style="bold")
    for index, header in enumerate(headers):
        is_text = prose and index == len(headers) - 1
        made.add_column(header, justify="left" if index == 0 or is_text else "right", no_wrap=prose and not is_text)
    for row in rows:
        made.add_row(*row)
    return made


def show(*parts: Any) -> None:
    """Print to standard output; colours only on a terminal, and no wrapping of lines elsewhere."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=not sys.stdout.isatty())
    for part in parts:
        console.print(part, markup=False) if isinstance(part, str) else console.print(part)


def complain(error: SkewlessError) -> None:
    """What went wrong and what to do, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("error: ", style="bold red", end="")
    console.print(str(error), markup=False)
    if error.hint:
        console.print("  do: ", style="bold", end="")
        console.print(error.hint, markup=False)


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
