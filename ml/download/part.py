"""The files of one download on the disk.

Beside <name> lie <name>.json (which version it is), <name>.lock, and, while it is on its way, <name>.part with
<name>.part.json (of which version it is a part). Whatever moment a process is killed in, the next one finds a part and its
version, or begins again.
"""

import contextlib, fcntl, json, os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.download.remote import Remote, is_guard


@dataclass
class Part:
    """An unfinished file, open for appending, and the version that it is a part of. Its length is what the disk says."""

    file: Any
    record: Path
    url: str
    mark: str
    size: int | None

    def position(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def begin(self, mark: str, size: int | None) -> None:
        """Empty it for a version: first the bytes go, so that no record ever stands beside bytes of another version."""
        self.mark, self.size = mark, size
        self.file.truncate(0)
        os.fsync(self.file.fileno())
        _write_record(self.record, {"url": self.url, "mark": mark, "size": size})

    def append(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:  # an unbuffered write may take less, as it does before a disk is full
            rest = rest[self.file.write(rest) :]


@contextlib.contextmanager
def _part(path: Path, record: Path, remote: Remote) -> Iterator[Part]:
    """The part on the disk if it is of this version, else an empty one."""
    with open(path, "ab", buffering=0) as file:
        part = Part(file, record, public(remote.url), remote.mark, remote.size)
        known = _read_record(record)
        same = known is not None and (known.get("mark"), known.get("size")) == (remote.mark, remote.size)
        if not same or not _is_guard(remote.mark) or part.position() > (remote.size or part.position()):
            part.begin(remote.mark, remote.size)
        yield part


def _is_whole(target: Path, record: Path, remote: Remote) -> bool:
    """Whether this version of the file lies there; one without a name of its version cannot be told."""
    known = _read_record(record)
    if known is None or not _is_guard(remote.mark) or not target.exists():
        return False
    return known.get("mark") == remote.mark and target.stat().st_size == known.get("size") == (remote.size or known.get("size"))


def _read_record(path: Path) -> dict[str, Any] | None:
    """A record, or None where there is none or it was cut off."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_record(path: Path, value: dict[str, Any]) -> None:
    with open(path, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _held(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of one file's download; a dead holder holds nothing."""
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
