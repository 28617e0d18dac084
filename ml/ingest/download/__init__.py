"""http(s):// and s3:// to local files: resumed, verified, and never incomplete under the final name.

`remote` says what is known of a file elsewhere, `web` and `s3` ask for it, `part` is what is stored on the disk. This module
repeats failed attempts.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from ml.errors import SkewlessError
from ml.ingest.download import s3, web
from ml.ingest.download.part import Part, finish, held, is_whole, opened
from ml.ingest.download.remote import BY_HAND, Answer, Remote, Trouble, is_guard, length, mark_of, public

__all__ = ["Remote", "fetch", "find", "is_remote", "public"]
log = logging.getLogger(__name__)
ATTEMPTS = 5  # in a row without a further byte
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)  # after the first, second ... of them
Progress = Callable[[str, float, float], None]
T = TypeVar("T")


def is_remote(source: str) -> bool:
    """Whether a source is an address rather than a path."""
    return source.lower().startswith(("http://", "https://", "s3://"))


def find(source: str) -> list[Remote]:
    """The files at an address: one, or for s3://bucket/prefix/ all below it, sorted by key.

    Raises:
        SkewlessError: where nothing is there, no server answers, or credentials are missing.
    """
    return _with_retries(source, lambda: s3.find(source) if _is_s3(source) else web.find(source))


def fetch(remote: Remote, folder: Path, progress: Progress) -> Path:
    """The file at folder/<16 hex of sha256(url)>/<name>, downloaded unless this version is stored there already.

    A part of the same version is continued. Where the server names no version, nothing can be, and it is downloaded again.

    Raises:
        SkewlessError: naming the address without its query, what happened and what to do; the part received is kept for the next attempt.
        OSError: from the disk.
    """
    home = folder / hashlib.sha256(remote.url.encode(errors="surrogateescape")).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with held(home, remote.name, lambda: progress(f"waiting for another download of {remote.name}", 0, 0)):
        if not is_whole(home, remote):
            with opened(home, remote) as part:
                _with_retries(remote.url, lambda: _continue(remote, part, progress), part)
                finish(home, remote.name, part)
    return home / remote.name


def _is_s3(url: str) -> bool:
    return url.lower().startswith("s3://")


def _with_retries(url: str, attempt: Callable[[], T], part: Part | None = None) -> T:
    """Try until it works; ATTEMPTS times in a row without getting further than ever before are enough."""
    failures, best = 0, part.position() if part else 0
    while True:
        try:
            return attempt()
        except Trouble as trouble:
            if part and trouble.begins_again:
                part.begin(part.mark, part.size)
            position = part.position() if part else 0
            failures = 0 if position > best else failures + 1
            best = max(best, position)
            log.info("%s: failed at byte %d: %s", public(url), position, trouble.what or "the connection was closed early")
            if trouble.is_final or failures >= ATTEMPTS:
                raise _reported(url, trouble, part) from trouble
            time.sleep(max(trouble.pause_seconds, PAUSES_SECONDS[min(max(failures - 1, 0), len(PAUSES_SECONDS) - 1)]))


def _reported(url: str, trouble: Trouble, part: Part | None) -> SkewlessError:
    from ml import console

    what, kept = trouble.what, part.position() if part else 0
    if not what:
        promised = f"promised {part.size:,} bytes and sent {kept:,}" if part and part.size else "closed the connection early"
        what = f"the server {promised}"
    stays = f" ({console.size(kept)} are kept; the same command continues from there)" if part and kept and is_guard(part.mark) else ""
    return SkewlessError(f"{public(url)}: {what}{stays}", trouble.hint)


def _continue(remote: Remote, part: Part, progress: Progress) -> None:
    """One request for what the part lacks.

    Raises:
        Trouble: with what came in the part.
    """
    if part.position() and not is_guard(part.mark):
        part.begin(part.mark, part.size)
    if part.position() == part.size:
        return  # killed between its last byte and its name
    request = s3.request if _is_s3(remote.url) else web.request
    with request(remote.url, part.position(), part.mark) as answer:
        _agree(answer, remote.name, part)
        position, label = part.position(), f"downloading {remote.name}"
        progress(label, position, part.size or 0)
        for chunk in answer.chunks:
            if part.size is not None and position + len(chunk) > part.size:
                raise Trouble(f"the server sent more bytes than promised, which were {part.size:,}", BY_HAND, begins_again=True)
            part.append(chunk)
            position += len(chunk)
            progress(label, position, part.size or 0)
        if part.size is not None and position < part.size:
            raise Trouble("")
        if part.size is None and "chunked" not in answer.headers.get("transfer-encoding", ""):
            endless = "the server does not say how long the file is, so that its end looks like a cut"
            raise Trouble(endless, BY_HAND, is_final=True, begins_again=True)


def _agree(answer: Answer, name: str, part: Part) -> None:
    """See that an answer continues the part; a whole one empties it and says what it is a part of from now on."""
    headers = answer.headers
    packing = {one.strip() for one in headers.get("content-encoding", "").split(",")} - {"", "identity", "aws-chunked"}
    if packing and not (packing <= {"gzip", "x-gzip"} and name.endswith((".gz", ".tgz"))):
        raise Trouble(f"the server packs it ({', '.join(sorted(packing))}) though asked not to", BY_HAND, is_final=True)
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", headers.get("content-range", ""))
        first, last, total = map(int, said.groups()) if said else (-1, -1, -1)
        marks = {headers[kind] for kind in ("etag", "last-modified") if kind in headers}
        fits = first == part.position() and last < total and part.size in (None, total) and (not marks or part.mark in marks)
        if not fits or length(headers) not in (None, last + 1 - first):
            raise Trouble("the server sent another part of the file than the one asked for", BY_HAND, begins_again=True)
        part.size = total
        return
    mark, size = mark_of(headers), length(headers)
    if mark == part.mark and None not in (size, part.size) and size != part.size:
        raise Trouble(f"the server promised {part.size:,} bytes and then {size:,} of the same file", BY_HAND, begins_again=True)
    part.begin(mark, part.size if size is None and mark == part.mark else size)
