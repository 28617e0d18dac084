"""Files behind http:// and https://."""

import contextlib, logging
from collections.abc import Iterator, Mapping
from typing import Any

@contextlib.contextmanager
def _http() -> Iterator[Any]:
    """An httpx client whose failures are troubles."""
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines spell addresses with their queries
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        client = httpx.Client(timeout=timeout, follow_redirects=True)
    except (ImportError, ValueError) as error:  # socks without its package, a proxy that is no address
        raise Trouble("the proxy that the environment names cannot be used", "see HTTPS_PROXY and ALL_PROXY", is_final=True) from error
    try:
        with client:
            yield client
    except httpx.TimeoutException as error:
        raise _silence(isinstance(error, httpx.ConnectTimeout)) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects) as error:
        raise Trouble(f"it cannot be followed: {error}", "check the address", is_final=True) from error
    except httpx.RemoteProtocolError as error:
        raise Trouble("") from error
    except httpx.TransportError as error:
        raise _unreached(error) from error


def _ask(url: str) -> Mapping[str, str]:
    """The headers of a file, by HEAD or, where that is refused or does not say how long the file is, by a GET without its body."""
    with _http() as client:
        answer = client.head(url, headers=ASKED)
        if answer.status_code in (403, 405, 501) or (answer.status_code == 200 and not _length(answer.headers)):
            with client.stream("GET", url, headers=ASKED) as answer:
                pass
        _require(answer.status_code, answer.reason_phrase, answer.headers.get("retry-after", ""))
        headers: Mapping[str, str] = answer.headers
        return headers


@contextlib.contextmanager
def _request_http(url: str, position: int, mark: str) -> Iterator[Answer]:
    rest = {"Range": f"bytes={position}-", "If-Range": mark} if position else {}
    with _http() as client, client.stream("GET", url, headers=ASKED | rest) as answer:
        _require(answer.status_code, answer.reason_phrase, answer.headers.get("retry-after", ""))
        yield Answer(answer.status_code, answer.headers, answer.iter_raw())
