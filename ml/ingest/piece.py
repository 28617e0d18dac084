"""The rows of one file, wherever it is stored (plain, compressed or in an archive), and its bytes."""

import bz2
import codecs
import contextlib
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from ml.errors import SkewlessError

PACKED = (".gz", ".bz2", ".zip")


@dataclass(frozen=True)
class Piece:
    """A text or Parquet file: `name` is recorded, `path` is where it is stored, `member` names it in a zip there."""

    name: str
    path: Path
    member: str | None = None

    @property
    def is_parquet(self) -> bool:
        return self.plain_name.endswith(".parquet")

    @property
    def plain_name(self) -> str:
        """The name without suffixes of compression: the same month, however it was delivered."""
        plain = self.name
        while plain.endswith(PACKED):
            plain = plain.rpartition(".")[0]
        return plain

    @property
    def shown(self) -> str:
        return f"{self.path}, {self.member}" if self.member and self.member != self.name else str(self.path)


def opened(piece: Piece) -> IO[bytes]:
    """The bytes of a piece, unpacked."""
    try:
        if piece.member is not None:
            return zipfile.ZipFile(piece.path).open(piece.member)
        if piece.path.suffix == ".gz":
            return gzip.open(piece.path)  # type: ignore[return-value]
        if piece.path.suffix == ".bz2":
            return bz2.open(piece.path)
        return open(piece.path, "rb")
    except FileNotFoundError as error:
        raise SkewlessError(f"there is no file {piece.path}", "check the name") from error
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise SkewlessError(f"{piece.path} cannot be read: {error}", "check that the file is whole and that you may read it") from error


@contextlib.contextmanager
def readable(piece: Piece) -> Iterator[None]:
    """Name the file in the errors that its bytes cause in the readers."""
    try:
        yield
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, UnicodeDecodeError, pa.ArrowInvalid) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SkewlessError(
            f"{piece.shown} cannot be read: {said}", "check that the file is whole, UTF-8, and closes its quotes"
        ) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the file
            raise
        raise SkewlessError(f"{piece.shown} cannot be read: {error}", "check that the file is whole") from error


@dataclass(frozen=True)
class Content:
    """What one reading of a file found: the load id, 16 hexadecimal digits of the sha256 of the unpacked bytes; their
    number; the lines of a text, its header included; and whether all of it is UTF-8.
    """

    id: str
    bytes: int
    lines: int
    is_utf8: bool


def content(piece: Piece, progress: Callable[[float], None] = lambda _: None) -> Content:
    """Read a piece once; `progress` gets the unpacked bytes so far."""
    digest, size, lines, last = hashlib.sha256(), 0, 0, b""
    decoder: codecs.IncrementalDecoder | None = None if piece.is_parquet else codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    with opened(piece) as file, readable(piece):
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            lines += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n") - (last == b"\r" and block[:1] == b"\n")
            last = block[-1:]
            if decoder is not None and is_utf8:
                is_utf8 = _decodes(decoder, block)
            progress(size)
    if decoder is not None and is_utf8:
        is_utf8 = _decodes(decoder, b"", final=True)
    return Content(digest.hexdigest()[:16], size, lines + (last not in (b"", b"\n", b"\r")), is_utf8)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


class Repaired:
    """A file's bytes in which every line that is not UTF-8 is empty; `damaged` keeps such lines by their number, 0 the header.

    The reader then counts the empty line as one that has too few fields, at the number that it really has.
    """

    def __init__(self, file: IO[bytes], damaged: dict[int, str]) -> None:
        self._file, self._damaged, self._line, self._left, self.closed = file, damaged, 0, b"", False

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._left) < size:
            line = self._file.readline()
            if not line:
                break
            try:
                line.decode()
            except UnicodeDecodeError:
                self._damaged[self._line] = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
                line = b"\n"
            self._line += 1
            self._left += line
        cut = len(self._left) if size < 0 else size
        taken, self._left = self._left[:cut], self._left[cut:]
        return taken

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
        self._file.close()
