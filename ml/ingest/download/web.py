"""Files behind http:// and https://."""

import contextlib
import functools
import logging
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ml.ingest.download import remote
from ml.ingest.download.remote import Answer, Remote, Trouble, length, mark_of, public, require, safe_name

ASKED = {"Accept-Encoding": "identity", "Connection": "close"}
HEAD_REFUSED = (403, 405, 501)  # 403: an address may be signed for GET alone


def find(url: str) -> list[Remote]:
    """The file, by HEAD or, where that is refused or does not say how long the file is, by a GET without its body.

    Raises:
        Trouble: where there is none, or no answer.
    """
    with _client() as client:
        answer = client.head(url, headers=ASKED)
        if answer.status_code in HEAD_REFUSED or (answer.status_code == 200 and not length(answer.headers)):
            with client.stream("GET", url, headers=ASKED) as answer:
                pass
        _require(answer)
    name = public(url).partition("://")[2].partition("/")[2].rpartition("/")[2]
    return [Remote(url, safe_name(unquote(name)), length(answer.headers), mark_of(answer.headers))]


@contextlib.contextmanager
def request(url: str, position: int, mark: str) -> Iterator[Answer]:
    """The file from `position` on if it is still the version `mark`, else the whole of it."""
    rest = {"Range": f"bytes={position}-", "If-Range": mark} if position else {}
    with _client() as client, client.stream("GET", url, headers=ASKED | rest) as answer:
        _require(answer)
        yield Answer(answer.status_code, answer.headers, answer.iter_raw())


def _require(answer: Any) -> None:
    require(answer.status_code, retry_after=answer.headers.get("retry-after", ""))


@contextlib.contextmanager
def _client() -> Iterator[Any]:
    """An httpx client whose failures, wherever in the block, are troubles."""
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines spell addresses with their queries
    timeout = httpx.Timeout(remote.READ_SECONDS, connect=remote.CONNECT_SECONDS)
    try:
        client = httpx.Client(timeout=timeout, follow_redirects=True, verify=_trusted())
    except (ImportError, ValueError) as error:  # socks without its package, a proxy that is not an address
        raise Trouble("the proxy that the environment names cannot be used", "see HTTPS_PROXY and ALL_PROXY", is_final=True) from error
    try:
        with client:
            yield client
    except httpx.TimeoutException as error:
        raise remote.silence(isinstance(error, httpx.ConnectTimeout)) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects, UnicodeError) as error:
        raise Trouble(f"it cannot be followed ({error})", "check the address", is_final=True) from error
    except httpx.RemoteProtocolError as error:
        raise Trouble("") from error
    except httpx.TransportError as error:
        raise remote.unreached(error) from error


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates of the authorities; reading them takes longer than a small download."""
    import httpx

    return httpx.create_ssl_context()
