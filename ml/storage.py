"""The file-system layer: the only module that knows the storage root.

Everything else names things by keys ("raw/flights/planes", "workspaces/anna/flights/champion"), works on local folders
that `staging` publishes whole, and reads from local folders that `fetch` hands out. An object store would upload and
download at just these points.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import SkewlessError, UsageError

log = logging.getLogger(__name__)
TEMPORARY = ".skewless-"  # how the name of a temporary folder in a user's own folder begins


@dataclass(frozen=True)
class Storage:
    """The storage root (an absolute path) and the workspace in it."""

    root: str
    workspace: str

    def own(self, *parts: str) -> str:
        """The key of something that belongs to the workspace."""
        return "/".join(["workspaces", self.workspace, *parts])

    def uri(self, key: str) -> str:
        """What an engine or a library that reads by itself is given."""
        return f"{self.root}/{key}"


def open_storage(root: str, workspace: str) -> Storage:
    """A storage at `root`.

    Raises:
        UsageError: for a root that is not a path, or a workspace name that could not be a folder and a schema.
    """
    if "://" in root:
        raise UsageError(
            f"the storage root {root} is not a path",
            "object stores are not supported yet; set SKEWLESS_ROOT to a folder",
        )
    if not workspace.replace("_", "").isalnum() or not workspace.isascii() or workspace != workspace.lower():
        raise UsageError(
            f"the workspace name {workspace!r} cannot be used",
            "set SKEWLESS_WORKSPACE to small letters, digits and underscores",
        )
    return Storage(os.path.abspath(os.path.expanduser(root)), workspace)


def is_name(text: str) -> bool:
    """Whether a text can be one part of a key: a plain name, not a path to another folder."""
    return bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", text))


def exists(storage: Storage, key: str) -> bool:
    return _local(storage, key).exists()


def names(storage: Storage, key: str) -> list[str]:
    """The names directly below a key, sorted; none where nothing is there."""
    folder = _local(storage, key)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def read_json(storage: Storage, key: str) -> Any:
    """The JSON value at a key, or None where there is none.

    Raises:
        SkewlessError: naming the file, where its text is not JSON.
    """
    try:
        return json.loads(_local(storage, key).read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SkewlessError(f"{storage.uri(key)} is damaged: {error}", "delete it and run the step that writes it again") from error


def stamp(storage: Storage, key: str) -> tuple[int, ...] | None:
    """A mark that differs once the value at a key has been replaced, without reading it; None where there is none."""
    try:
        seen = _local(storage, key).stat()
    except FileNotFoundError:
        return None
    return (seen.st_mtime_ns, seen.st_ino, seen.st_size)


def write_json(storage: Storage, key: str, value: Any) -> None:
    """Write a JSON value so that a reader sees the old one or the new one."""
    write_atomic(_local(storage, key), lambda path: write_local_json(path, value), _scratch(storage))


def write_local_json(path: Path, value: Any) -> None:
    """Write a JSON value into a folder that `staging` will publish."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def read_local_json(path: Path) -> Any:
    """A JSON value from a folder that `fetch` handed out."""
    return json.loads(path.read_text())


def write_file(storage: Storage, key: str, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, then put it at the key in one step."""
    write_atomic(_local(storage, key), write, _scratch(storage))


def write_atomic(target: Path, write: Callable[[Path], object], scratch: Path, prefix: str = "") -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=prefix + _owner(), dir=scratch)) / target.name
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary.parent, ignore_errors=True)


def write_next_to(target: Path, write: Callable[[Path], object]) -> None:
    """As `write_file`, for a file that the user has named: the temporary one is in its folder, which is on its file system.

    The temporary folders that killed processes left in that folder are removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in target.parent.glob(f"{TEMPORARY}*"):
        if _state(path.name.removeprefix(TEMPORARY)) == "dead":
            log.info("removing %s, which a killed process left", path)
            shutil.rmtree(path, ignore_errors=True)
    write_atomic(target, write, target.parent, TEMPORARY)


def working_file(storage: Storage, key: str) -> Path:
    """A local path below the root for `write_next_to` to fill."""
    return _local(storage, key)


def keep(storage: Storage, key: str, aside: str) -> None:
    """Give a file a second name, under which it stays when the first is replaced."""
    path = _local(storage, aside)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.link(_local(storage, key), path)


def remove(storage: Storage, key: str) -> None:
    path = _local(storage, key)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def fetch(storage: Storage, key: str) -> Path:
    """A local file or folder with the content of the key, for reading only."""
    return _local(storage, key)


def working_folder(storage: Storage, key: str) -> Path:
    """A local folder that outlives the step: the warehouse, dbt's target, a model store. Made where missing."""
    folder = _local(storage, key)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def staging(storage: Storage, key: str) -> Iterator[Path]:
    """An empty local folder that becomes the key when the block ends well; after a failure nothing has changed."""
    target = _local(storage, key)
    scratch = Path(tempfile.mkdtemp(prefix=_owner(), dir=_scratch(storage)))
    new, old = scratch / "new", scratch / "old"
    new.mkdir()
    try:
        yield new
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(storage: Storage) -> Iterator[Path]:
    """An empty local folder on the root's own file system, gone when the block ends."""
    scratch = Path(tempfile.mkdtemp(prefix=_owner(), dir=_scratch(storage)))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def lock(storage: Storage, key: str, purpose: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock; while another process holds it, call `waiting` with its name and wait. The lock of a dead process is free."""
    path = _local(storage, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            now = file.read().strip() or "another process"
            log.info("waiting for %s, which holds %s", now, path)
            waiting(now)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"`{purpose}`, process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%H:%M:%S')}")
        file.flush()
        yield


def holder(storage: Storage, key: str) -> str | None:
    """The process that holds a lock, as it described itself; None where none does."""
    try:
        with open(_local(storage, key)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another process"
    except FileNotFoundError:
        pass
    return None


def probe(storage: Storage, key: str) -> None:
    """Write a small file below a key and take it away again; where nothing is there yet, only ask whether one may.

    Raises:
        OSError: where nothing can be written.
    """
    folder = _local(storage, key)
    if folder.exists():
        write_json(storage, f"{key}/.probe".lstrip("/"), {})
        remove(storage, f"{key}/.probe".lstrip("/"))
    elif not _nearest(folder).is_dir() or not os.access(_nearest(folder), os.W_OK | os.X_OK):
        raise NotADirectoryError(errno.EACCES, "no folder can be made here", str(_nearest(folder)))


def size(storage: Storage, key: str) -> int:
    """The bytes of a file, or of all files below a key; 0 where nothing is."""
    path = _local(storage, key)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def free_bytes(storage: Storage) -> int:
    """The free space of the root's file system."""
    return shutil.disk_usage(_nearest(_local(storage, ""))).free


def leftovers(storage: Storage) -> list[tuple[str, str]]:
    """Temporary folders in the root and what became of their process: `alive`, `dead`, or `elsewhere` on another machine."""
    return [(name, _state(name)) for name in names(storage, "tmp")]


def _state(name: str) -> str:
    """What became of the process that made a temporary folder of this name."""
    host, _, process = name.rpartition("-")[0].rpartition("-")
    if host != socket.gethostname() or not process.isdigit() or not Path("/proc").exists():
        return "elsewhere"
    return "alive" if Path("/proc", process).exists() else "dead"


def remove_leftovers(storage: Storage) -> None:
    """Remove the temporary folders in the root that killed processes left."""
    for name, owner in leftovers(storage):
        if owner == "dead":
            log.info("removing %s, which a killed process left", storage.uri(f"tmp/{name}"))
            shutil.rmtree(_local(storage, f"tmp/{name}"), ignore_errors=True)


def _nearest(path: Path) -> Path:
    """The path, or the first above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _local(storage: Storage, key: str) -> Path:
    return Path(storage.root, key)


def _owner() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-"


def _scratch(storage: Storage) -> Path:
    """The folder of temporary names, on the root's own file system; what killed processes left there is removed."""
    scratch = Path(storage.root, "tmp")
    scratch.mkdir(parents=True, exist_ok=True)
    remove_leftovers(storage)
    return scratch
