from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from manifests.errors import InputError
from pipelines.cli.main import app
from pipelines.loading import load_recipe
from pipelines.reachable import check_reachable, hasty, hosts_of
from tests.unit.curate.sources.crawl_server import serve


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_hosts_that_do_not_answer_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = f"http://127.0.0.1:{closed_port()}/a.warc.gz"
    result = CliRunner().invoke(app, ["recipe", "check", "own", "--set", f"files={gone}"])
    assert isinstance(result.exception, InputError)
    assert "127.0.0.1: Connection refused" in str(result.exception)
    with serve({"a.warc.gz": b"x"}) as site:
        check_reachable(load_recipe("own", [f"files={site.url}/a.warc.gz"]))


def test_a_name_server_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    recipe = load_recipe("own", ["files=https://archives.example/a.warc.gz"])
    started = time.monotonic()
    with pytest.raises(InputError, match=r"archives\.example: no answer within 0\.2 seconds"):
        check_reachable(recipe, within_seconds=0.2)
    assert time.monotonic() - started < 30
    ended.set()


def test_which_hosts_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    recipe = load_recipe("own", ["files=https://a.example:8443/x.warc.gz", "http.contact=https://b.example/"])
    assert hosts_of(recipe) == {"a.example": 8443}
    stored = load_recipe("own", ["files=s3://bucket/x.warc.gz", "s3.endpoint_url=http://store.example:9000"])
    assert hosts_of(stored) == {"store.example": 9000}
    assert hosts_of(load_recipe("own", ["files=/data/x.warc.gz"])) == {}
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert hosts_of(recipe) == {}
    assert (hasty(recipe).http.attempts, hasty(recipe).s3.attempts) == (1, 1)
