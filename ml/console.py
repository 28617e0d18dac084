"""What a person sees: progress bars on a terminal, aligned tables, errors that say what to do.

Every value is shown as text: no markup, and no character that would move the cursor, colour or reorder what is around it.
rich is imported inside the functions, so that `skewless --help` does not wait for it.
"""

import logging
import os
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

from ml.errors import SkewlessError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

log = logging.getLogger(__name__)
SHOW_AFTER_SECONDS = 1.0
IN_BYTES = ("reading", "writing", "downloading")  # labels that begin so count bytes, and are shown with their rate
CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories: controls, formats (bidirectional overrides among them), surrogates
JOINERS = "\u200c\u200d"  # formats that the spelling of some languages needs


def plain(value: Any, keep: str = "") -> str:
    """A value as text in which every control character is written as its escape (`\\x1b`), but those in `keep`."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in keep or character in JOINERS or unicodedata.category(character) not in CONTROL
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class Bar:
    """A progress callback: call it with a label, what is done, and the total (0: unknown). Silent when not on a terminal."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._console: Console | None = None
        self._progress: Progress | None = None
        self._in_bytes = False
        self._label = ""
        self._tasks: dict[str, Any] = {}

    def __call__(self, label: str, done: float, total: float) -> None:
        if label != self._label:
            log.info("%s", label)
            self._label = label
        if label.startswith("waiting for"):
            _print(_console(sys.stderr), label, "yellow")
            return
        if self._console is None:
            self._console = _console(sys.stderr)
        if not self._console.is_terminal or time.monotonic() - self._began < SHOW_AFTER_SECONDS:
            return
        in_bytes = label.startswith(IN_BYTES)
        if self._progress is None or in_bytes != self._in_bytes:
            self.close()
            self._progress = _progress(self._console, in_bytes)
            self._progress.start()
            self._in_bytes, self._tasks = in_bytes, {}
        if label not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, visible=False)
            self._tasks[label] = self._progress.add_task(plain(label), total=None)
        self._progress.update(self._tasks[label], completed=done, total=total or None)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _progress(console: "Console", in_bytes: bool) -> "Progress":
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    counted = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    label = TextColumn("  {task.description}", markup=False)
    return Progress(label, BarColumn(), *counted, TimeElapsedColumn(), console=console, transient=True)


def table(headers: list[str], rows: list[list[str]], title: str = "", prose: bool = False) -> "Table":
    """A plain aligned table; every column but the first is right-aligned. With `prose` the last one is text, and alone may wrap."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(plain(title)) if title else None, box=None, pad_edge=False, title_justify="left", header_style="bold")
    for index, header in enumerate(headers):
        is_text = prose and index == len(headers) - 1
        made.add_column(Text(plain(header)), justify="left" if index == 0 or is_text else "right", no_wrap=prose and not is_text)
    for row in rows:
        made.add_row(*(Text(plain(cell)) for cell in row))
    return made


def show(*parts: Any) -> None:
    """Print texts and tables to standard output; colours only on a terminal, and no wrapping of lines elsewhere."""
    console = _console(sys.stdout)
    for part in parts:
        with console.capture() as captured:
            _print(console, part)
        write_out(captured.get())


def write_out(text: str) -> None:
    """Write to standard output. Once its reader has gone (`| head`), what is left is dropped and the verb continues."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        log.info("the reader of standard output has gone; the rest of the output is dropped")
        _discard(sys.stdout)


def complain(error: SkewlessError, place: str = "") -> None:
    """What went wrong, what to do, and where the log is (or why there is none), on standard error."""
    console = _console(sys.stderr)
    for heading, text in (("error: ", str(error)), ("  do: ", error.hint), ("  log: ", place)):
        if text:
            console.print(heading, style="bold red" if heading == "error: " else "bold", end="")
            # Further lines are indented deeper than a heading, so that no value looks like one.
            _print(console, text.replace("\n", "\n    "))


def prepare_streams() -> None:
    """Make the standard streams safe to write: closed ones go nowhere, and what their encoding lacks is written as an escape."""
    while (opened := os.open(os.devnull, os.O_RDWR)) < 3:  # a closed stream's number must not be given to the next file
        os.set_inheritable(opened, True)
    os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def finish_streams() -> None:
    """Write what is buffered now: a reader that has gone would else end the interpreter with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _discard(stream)


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream can write every character."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def _discard(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    is_narrow = stream is sys.stdout and not stream.isatty()
    return Console(
        file=stream, width=160 if is_narrow else None, highlight=False, markup=False, emoji=False,
        soft_wrap=stream is sys.stderr or not stream.isatty(),
    )  # fmt: skip


def _print(console: "Console", part: Any, style: str | None = None) -> None:
    console.print(plain(part, keep="\n") if isinstance(part, str) else part, style=style, markup=False, highlight=False)


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
