"""A local file server that misbehaves as it is set to, and records its requests; for the tests of downloads."""

import contextlib
import random
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ml.ingest import download
from ml.ingest.download import remote as patience

TEXT = random.Random(7).randbytes(100_000)


@dataclass
class Site:
    """What a local server holds, how it misbehaves, and what it was asked.

    `turns` are taken up by one GET each, `always` by those that follow, `heads` by every HEAD. Their keys: `status`, `to`
    (redirect), `more` (headers), `send` (bytes before it hangs up), `stall` (seconds before that), `pace` (seconds between
    pieces), `promise` (Content-Length), `unsaid` (none), `chunked`, `extra` and `lack` (bytes too many and too few), `deaf` (to
    Range), `careless` (of If-Range), `range` (what it claims to send).
    """

    files: dict[str, bytes]
    mark: str | None = '"1"'
    always: dict = field(default_factory=dict)
    heads: dict = field(default_factory=dict)
    turns: list[dict] = field(default_factory=list)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    guards: list[str] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def asked(self, method="GET"):
        """The Range of every request, or None for the whole."""
        return [rest for verb, rest in self.seen if verb == method]


class Handler(BaseHTTPRequestHandler):
    """A file server and, where asked to list, a test double of S3's ListObjectsV2: two keys a page."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(self.server.site, self.server.site.heads)

    def do_GET(self):
        site = self.server.site
        self.answer(site, site.turns.pop(0) if site.turns else site.always)

    def answer(self, site, turn):
        address = urlsplit(self.path)
        self.site, rest = site, self.headers.get("Range")
        if "list-type" in address.query:
            return self.listing(site, unquote(address.path).strip("/"), parse_qs(address.query))
        site.seen.append((self.command, rest))
        body = site.files.get(unquote(address.path))
        guards = [self.headers[name] for name in ("If-Match", "If-Range") if name in self.headers]
        site.guards += guards
        status = turn.get("status") or (404 if body is None else 412 if "If-Match" in self.headers and guards != [site.mark] else 200)
        headers = dict(turn.get("more", {})) | ({"Location": turn["to"]} if "to" in turn else {})
        if status != 200:
            return self.send(status, headers | {"Content-Length": "0"}, b"", {})
        if site.mark:
            headers["ETag"] = site.mark
        if rest and (guards in ([site.mark], []) or turn.get("careless")) and not turn.get("deaf"):
            first, size = int(rest.removeprefix("bytes=").rstrip("-")), len(body)
            if first >= size:
                return self.send(416, {"Content-Length": "0", "Content-Range": f"bytes */{size}"}, b"", {})
            status, body = 206, body[first:]
            headers["Content-Range"] = turn.get("range", f"bytes {first}-{size - 1}/{size}")
        if turn.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        elif not turn.get("unsaid"):
            headers["Content-Length"] = str(turn.get("promise", len(body)))
        return self.send(status, headers, body[: len(body) - turn.get("lack", 0)] + bytes(turn.get("extra", 0)), turn)

    def send(self, status, headers, body, turn):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        body = body[: turn.get("send", len(body))] if self.command == "GET" else b""
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(body), 1000):
                piece = body[start : start + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if turn.get("chunked") else piece)
                self.site.sent += len(piece)
                time.sleep(turn.get("pace", 0))
            time.sleep(turn.get("stall", 0))
            self.wfile.write(b"0\r\n\r\n" if turn.get("chunked") and "send" not in turn and self.command == "GET" else b"")

    def listing(self, site, bucket, query):
        keys = sorted(path.split("/", 2)[2] for path in site.files if path.startswith(f"/{bucket}/{query.get('prefix', [''])[0]}"))
        start = int(query.get("continuation-token", ["0"])[0])
        site.seen.append(("LIST", str(start)))
        text = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(site.files[f'/{bucket}/{key}'])}</Size><ETag>{site.mark}</ETag></Contents>"
            for key in keys[start : start + 2]
        )
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{start + 2}</NextContinuationToken>" if keys[start + 2 :] else ""
        page = f"<ListBucketResult><EncodingType>url</EncodingType>{more}{text}</ListBucketResult>".encode()
        self.send(200, {"Content-Length": str(len(page)), "Content-Type": "application/xml"}, page, {})


@contextlib.contextmanager
def serving(**what):
    """A site on a port of its own, at `url`."""
    site = Site(**what)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.site = site
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}/trips.csv"
    yield site
    server.shutdown()
    server.server_close()


def be_impatient(monkeypatch):
    monkeypatch.setattr(download, "PAUSES_SECONDS", (0.0,))
    monkeypatch.setattr(patience, "READ_SECONDS", 0.4)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def quiet(*_):
    pass


def get(source, folder, progress=quiet):
    (remote,) = download.find(source)
    return download.fetch(remote, folder, progress)
