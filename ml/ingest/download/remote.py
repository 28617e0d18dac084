"""What is known of a file elsewhere, what a server says of it, and what may go wrong during its transfer."""

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 60.0  # what a server may ask for by Retry-After
NAME_BYTES = 200  # file systems allow 255, of which `.part.json` takes some
AGAIN = "check the connection and give the same command again"
BY_HAND = "fetch the file by other means, check it, and name the local copy"


@dataclass(frozen=True)
class Remote:
    """A file that is elsewhere. `size` in bytes, None where the server does not say; `mark` names its version, '' for none."""

    url: str = field(repr=False)  # its query may carry a signature
    name: str
    size: int | None
    mark: str


class Trouble(Exception):
    """One attempt that failed; repeated unless `is_final`. Without `what`, the server ended before it had sent all."""

    def __init__(self, what: str, hint: str = AGAIN, is_final: bool = False, begins_again: bool = False, pause_seconds: float = 0) -> None:
        super().__init__(what)
        self.what, self.hint, self.is_final, self.begins_again, self.pause_seconds = what, hint, is_final, begins_again, pause_seconds


@dataclass(frozen=True)
class Answer:
    """What a server sends: `headers` by names in lower case, and the body as it comes."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


def public(url: str) -> str:
    """An address as it may be shown and stored: without user, query and fragment, which may be secrets."""
    if url.lower().startswith("s3://"):
        return url  # what looks like a query is part of the key
    return re.split(r"[?#]", re.sub(r"//[^/?#]*@", "//", url, count=1), maxsplit=1)[0]


def safe_name(name: str) -> str:
    """A name without separators, control characters and leading dots, cut at its front, because its end says what the file is."""
    kept = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name).encode(errors="ignore")[-NAME_BYTES:].decode(errors="ignore")
    return kept.lstrip(". ") or "download"


def mark_of(headers: Mapping[str, str]) -> str:
    """The strongest name of a version that a server gives."""
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    return etag if is_guard(etag) else modified or etag


def is_guard(mark: str) -> bool:
    """Whether equal marks mean equal bytes; weak ones promise an equal meaning only."""
    return bool(mark) and not mark.startswith("W/")


def length(headers: Mapping[str, str]) -> int | None:
    """The bytes of the body that a server promises."""
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() else None


def require(status: int, detail: str = "", retry_after: str = "") -> None:
    """Pass on good answers only.

    Raises:
        Trouble: which is final where asking again would not help.
    """
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    what = f"{status}"
    with contextlib.suppress(ValueError):
        what += f" {HTTPStatus(status).phrase}"
    what += f" ({detail})" if detail else ""
    if status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        raise Trouble(what, begins_again=True)
    if status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS):
        asked = float(retry_after) if retry_after.isdecimal() else 0.0
        raise Trouble(what, "try again later", pause_seconds=min(asked, LONGEST_PAUSE_SECONDS))
    denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    raise Trouble(what, "check that you may read it; a signed address runs out" if denied else "check the address", is_final=True)


def silence(connecting: bool) -> Trouble:
    return Trouble(f"no answer within {CONNECT_SECONDS if connecting else READ_SECONDS:g} s")


def unreached(error: BaseException) -> Trouble:
    """The cause of a library's own connection error: an unknown host and a bad certificate are final."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, (socket.gaierror, ssl.SSLCertVerificationError)):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, socket.gaierror):
        return Trouble("host not found", "check the address, and the connection", is_final=cause.errno != socket.EAI_AGAIN)
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "check the address; certificates of your own are named by SSL_CERT_FILE, for s3 by AWS_CA_BUNDLE"
        return Trouble(f"its certificate is not trusted ({cause.verify_message})", hint, is_final=True)
    return Trouble(f"the connection failed ({error})")
