"""The files of one download on the disk.

Next to <name> are <name>.json (which version it is), <name>.lock, and, during the download, <name>.part with
<name>.part.json (of which version it is a part). Whenever a process is killed, the next one finds a part and its version, or
begins again.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.ingest.download.remote import Remote, is_guard, public


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
        """Empty it for a version. The bytes go first, so that a record never describes bytes of another version."""
        self.mark, self.size = mark, size
        self.file.truncate(0)
        os.fsync(self.file.fileno())
        _write_record(self.record, self.url, mark, size)

    def append(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:  # an unbuffered write may take less than it is given, as when the disk is almost full
            rest = rest[self.file.write(rest) :]


@contextlib.contextmanager
def opened(home: Path, remote: Remote) -> Iterator[Part]:
    """The stored part if it is of this version, else an empty one."""
    with open(home / f"{remote.name}.part", "ab", buffering=0) as file:
        part = Part(file, home / f"{remote.name}.part.json", public(remote.url), remote.mark, remote.size)
        known = _read_record(part.record)
        is_same = (known.get("mark"), known.get("size")) == (remote.mark, remote.size)
        if not is_same or (remote.size is not None and part.position() > remote.size):
            part.begin(remote.mark, remote.size)
        yield part


def finish(home: Path, name: str, part: Part) -> None:
    """Give a complete part its name, and then its record; between the two it is without one and would be downloaded again."""
    os.fsync(part.file.fileno())
    record = home / f"{name}.json"
    record.unlink(missing_ok=True)  # it is the old version's and must never describe the new bytes
    os.replace(home / f"{name}.part", home / name)
    _write_record(record, part.url, part.mark, part.position())
    part.record.unlink(missing_ok=True)


def is_whole(home: Path, remote: Remote) -> bool:
    """Whether this version of the file is stored; False where the server names no version."""
    known = _read_record(home / f"{remote.name}.json")
    if not is_guard(remote.mark) or known.get("mark") != remote.mark or remote.size not in (None, known.get("size")):
        return False
    return (home / remote.name).exists() and (home / remote.name).stat().st_size == known.get("size")


@contextlib.contextmanager
def held(home: Path, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of one file's download; the lock of a dead process is free."""
    with open(home / f"{name}.lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_record(path: Path) -> dict[str, Any]:
    """A record; empty where there is none, or where it was cut off while it was written."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_record(path: Path, url: str, mark: str, size: int | None) -> None:
    with open(path, "w") as file:
        json.dump({"url": url, "mark": mark, "size": size}, file)
        file.flush()
        os.fsync(file.fileno())
