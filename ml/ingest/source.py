"""SOURCE → files to read: a file, a folder, a glob, a zip with files or zips in it, http(s):// or s3://."""

import glob
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.errors import SkewlessError
from ml.ingest.piece import Piece, opened, readable

REMOTE = ("http://", "https://", "s3://")
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Found:
    """A file to read. `is_named`: the caller named this very file, so that it must be one that a table declares; whatever
    else is in a folder or an archive may be a document.
    """

    piece: Piece
    is_named: bool


def find(sources: list[str], scratch: Path, downloads: Path, progress: Progress) -> Iterator[Found]:
    """The files that sources mean, in a fixed order. Zips in zips are unpacked into `scratch`.

    Raises:
        SkewlessError: for a source that is not there, or that cannot be fetched or opened.
    """
    for source in sources:
        if source.startswith(REMOTE):
            from ml.ingest import download

            remotes = download.find(source)
            for remote in remotes:
                copy = download.fetch(remote, downloads, progress)
                yield from _pieces(copy, scratch, is_named=len(remotes) == 1)
            continue
        path = Path(source)
        if path.is_dir():
            yield from _folder(path, scratch)
        elif path.exists() or not glob.has_magic(source):
            yield from _pieces(path, scratch, is_named=True)
        else:
            matched = sorted(glob.glob(source, recursive=True))
            if not matched:
                raise SkewlessError(f"no file matches {source}", "check the pattern, and quote it so that the shell leaves it alone")
            for match in map(Path, matched):
                yield from _folder(match, scratch) if match.is_dir() else _pieces(match, scratch, is_named=False)


def only(path: Path) -> Piece:
    """The one file that a path means: itself, or what a zip holds.

    Raises:
        SkewlessError: for a zip with several files.
    """
    if path.suffix != ".zip":
        return Piece(path.name, path)
    found = members(path)
    if len(found) != 1:
        raise SkewlessError(f"{path} holds {len(found)} files where one was expected", "unpack it and name the files")
    return Piece(Path(found[0]).name, path, found[0])


def _folder(folder: Path, scratch: Path) -> Iterator[Found]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise SkewlessError(f"the folder {folder} holds no files", "check the name")
    for path in files:
        yield from _pieces(path, scratch, is_named=False)


def _pieces(path: Path, scratch: Path, is_named: bool) -> Iterator[Found]:
    if path.suffix != ".zip":
        yield Found(Piece(path.name, path), is_named)
        return
    found = members(path)
    if not found:
        raise SkewlessError(f"{path} holds no files", "check that it is the archive that you mean")
    for member in found:
        piece = Piece(Path(member).name, path, member)
        if member.endswith((".zip", ".gz", ".bz2", ".parquet")):
            copy = _unpacked(piece, scratch)
            yield from _pieces(copy, scratch, is_named=False)
            copy.unlink()  # a caller that asks for the next file has finished with this one
        else:
            yield Found(piece, is_named and len(found) == 1)


def members(path: Path) -> list[str]:
    """The names of the files in a zip, sorted."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name for name in archive.namelist() if not name.endswith("/") and not Path(name).name.startswith("."))
    except FileNotFoundError as error:
        raise SkewlessError(f"there is no file {path}", "check the name") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise SkewlessError(f"{path} cannot be read: {error}", "check that the file is whole and that you may read it") from error


def _unpacked(piece: Piece, scratch: Path) -> Path:
    """A member that is packed once more, or that must be read out of order, as a file of its own."""
    out = Path(tempfile.mkdtemp(dir=scratch)) / Path(piece.member or piece.name).name
    with opened(piece) as file, readable(piece), open(out, "wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
    return out
