"""Where a server may lead its readers; a server that asks for a password or a signature, of which nothing is kept."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.sources.redirects import RedirectError, is_public, redirect_target
from manifests.errors import CurateError
from pipelines.cli.main import app
from tests.unit.curate.sources.crawl_server import page, record

PRIVATE = ["http://127.0.0.1/", "http://localhost/x", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/",
           "http://192.168.1.1:8080/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fd00::1]/", "http://0.0.0.0/",
           "http://2130706433/", "http://100.64.0.1/"]
SECRET = "s3cr3t-W0rd"


@pytest.mark.parametrize("target", PRIVATE)
def test_a_public_server_does_not_lead_into_private_networks(target: str) -> None:
    with pytest.raises(RedirectError, match="no public host"):
        redirect_target("http://93.184.216.34/a", target)


def test_what_may_be_followed_is() -> None:
    public = "http://93.184.216.34/a/b"
    assert redirect_target(public, "/c") == "http://93.184.216.34/c"
    assert redirect_target(public, "https://1.1.1.1/x") == "https://1.1.1.1/x"
    assert redirect_target(public, "http://10.0.0.1/x", ["10.0.0.1"]) == "http://10.0.0.1/x"
    assert redirect_target("http://127.0.0.1:1/a", "http://127.0.0.1:2/b") == "http://127.0.0.1:2/b"
    assert redirect_target("http://localhost:1/a", "http://127.0.0.1:2/b") == "http://127.0.0.1:2/b"
    assert is_public("8.8.8.8")
    assert is_public("a name that nobody has.invalid")


@pytest.mark.parametrize(("url", "location", "why"), [
    ("https://1.1.1.1/", "http://1.1.1.1/", "away from TLS"), ("http://1.1.1.1/", "file:///etc/x", "instead of HTTP"),
    ("http://1.1.1.1/", "ftp://1.1.1.1/", "instead of HTTP"), ("http://1.1.1.1/", "http://[1", "no address"),
    ("http://1.1.1.1/", "http://1.1.1.1:port/", "no address")])
def test_what_is_no_address_of_http_is_refused(url: str, location: str, why: str) -> None:
    with pytest.raises(RedirectError, match=why):
        redirect_target(url, location)


@pytest.fixture
def guarded() -> Iterator[str]:
    """A server that gives an archive to those who know a password, or have a signature."""
    html = f"<html><body><article><p>{page('x', 300)}</p></article></body></html>"
    data = record("http://site.example/", html.encode())
    basic = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            by_user = path == "/user.warc.gz"
            allowed = self.headers.get("Authorization") == basic if by_user else f"sig={SECRET}" in query
            self.send_response(206 if allowed and self.headers.get("Range") else 200 if allowed else 401)
            first, _, last = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")
            body = data[int(first) : int(last or len(data) - 1) + 1] if allowed else b""
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(body) - 1}/{len(data)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_no_secret_reaches_a_file_or_a_message(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    monkeypatch.chdir(tmp_path)
    said = ""
    for url in (f"http://user:{SECRET}@{guarded}/user.warc.gz", f"http://{guarded}/signed.warc.gz?sig={SECRET}"):
        for words in (["extract", url, "--out", "out"], ["run", "own", "--set", f"files={url}", "--out", "run"],
                      ["recipe", "check", "own", "--set", f"files={url}"]):
            result = CliRunner().invoke(app, words)
            assert isinstance(result.exception, CurateError), result.exception
            assert result.exception.exit_code == 2
            said += result.output + str(result.exception)
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {SECRET}\n")
    (tmp_path / "signatures").write_text(f"http://{guarded}/signed.warc.gz?sig={SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("CURATE_SIGNED_URLS", str(tmp_path / "signatures"))
    for name in ("user", "signed"):
        url = f"http://{guarded}/{name}.warc.gz"
        result = CliRunner().invoke(app, ["extract", url, "--out", name, "--keep-work"])
        assert result.exit_code == 0, (result.output, result.exception)
        said += result.output
    monkeypatch.delenv("CURATE_SIGNED_URLS")
    result = CliRunner().invoke(app, ["extract", f"http://{guarded}/signed.warc.gz", "--out", "refused"])
    said += result.output + str(result.exception)
    assert "401" in said
    assert SECRET not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("netrc", "signatures")]
    assert [path for path in files if path.parent.name == "user"]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
