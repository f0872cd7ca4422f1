"""Who is let in: loopback names, the token once, then the cookie; and what every answer carries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from pipelines.ui.guard import HEADERS, Access, Guard

PORT = 8123
ACCESS = Access()
COOKIE = ("cookie", f"other=1; curate_ui_{PORT}={ACCESS.session}")
HOST = ("host", f"127.0.0.1:{PORT}")


def ask(path: str = "/", *headers: tuple[str, str], method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of an answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(),
             "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}
    asyncio.run(Guard(PlainTextResponse("inside"), ACCESS, PORT)(scope, receive, send))
    fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], fields, b"".join(m.get("body", b"") for m in sent[1:])


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address() -> None:
    status, headers, _ = ask(f"/documents?token={ACCESS.token}&url=a%26b", HOST)
    assert (status, headers["location"]) == (303, "/documents?url=a%26b")
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ACCESS.token not in headers["set-cookie"]
    assert ask("/", HOST, COOKIE)[2] == b"inside"


def test_the_way_in_leads_nowhere_else() -> None:
    for path in ("//evil.example/x", "/\\evil.example"):
        status, headers, _ = ask(f"{path}?token={ACCESS.token}", HOST)
        assert status == 303
        assert headers["location"] == path.replace("//", "/").replace("/\\", "/")
        assert not headers["location"].startswith(("//", "/\\"))


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", f"/?token={ACCESS.session}", "/?token=%ff%fe",
                                  f"/?token={ACCESS.token[:-1]}"], ids=range(6))  # not the tokens, which are random
def test_others_are_not_let_in(path: str) -> None:
    status, _, body = ask(path, HOST)
    assert (status, b"inside" in body) == (403, False)


@pytest.mark.parametrize("cookie", ["", f"curate_ui_{PORT}=", f"curate_ui_{PORT}=wrong",
                                    f"curate_ui_{PORT + 1}={ACCESS.session}", f"curate_ui_{PORT}={ACCESS.token}",
                                    f"curate_ui_{PORT}=\xff\xfe"], ids=range(6))
def test_another_cookie_is_no_way_in(cookie: str) -> None:
    assert ask("/", HOST, ("cookie", cookie))[0] == 403


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}",
                                  f"127.0.0.1.evil.example:{PORT}", f"localhost:{PORT}@evil.example", ""])
def test_a_name_that_was_pointed_here_is_refused(host: str) -> None:
    status, _, body = ask(f"/?token={ACCESS.token}", ("host", host), COOKIE)
    assert (status, b"inside" in body) == (421, False)


def test_one_host_header_and_no_more() -> None:
    assert ask("/", COOKIE)[0] == 421
    assert ask("/", HOST, HOST, COOKIE)[0] == 421
    for name in ("localhost", "[::1]"):
        assert ask("/", ("host", f"{name}:{PORT}"), COOKIE)[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_others_are_refused(site: str) -> None:
    """Another server of this machine is of the same site, so the browser sends it the cookie along."""
    assert ask("/", HOST, COOKIE, ("sec-fetch-site", site))[0] == 403
    assert ask("/", HOST, COOKIE, ("sec-fetch-site", "same-origin"))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_only_shows(method: str) -> None:
    assert ask("/", HOST, COOKIE, method=method)[0] == 405


@pytest.mark.parametrize("request_headers", [(HOST, COOKIE), (HOST,), (("host", "evil.example"),)])
def test_every_answer_carries_the_policy(request_headers: tuple[tuple[str, str], ...]) -> None:
    headers = ask("/", *request_headers)[1]
    assert {name: headers[name] for name in HEADERS} == dict(HEADERS)
    assert "unsafe" not in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
