"""Who may ask the server of a run, and what every answer carries.

Pages quote archives, so nothing but the browser of the person who started the server may read them: not another site
whose name was pointed at this machine (the Host header must name a loopback address), not a page of another site or of
another local server (Fetch metadata), not another user of the machine (a random token, compared in constant time, which
a first visit exchanges for a cookie).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN: Final = "token"
POLICY: Final = ("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
                 "form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin", "cache-control": "no-store"}
_METHODS: Final = ("GET", "HEAD")
_OWN_PAGES: Final = (None, "same-origin", "none")


@dataclass(frozen=True, slots=True)
class Access:
    """What lets a browser in. token: of the URL that is printed. session: what the cookie holds instead of it."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class Guard:
    """The application behind the checks above.

    Args:
        app: What answers those who may ask.
        access: What lets them in.
        port: Where the server listens: Host must name it.
    """

    def __init__(self, app: ASGIApp, access: Access, port: int) -> None:
        self._app, self._access = app, access
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._cookie = f"curate_ui_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(scope) or self._admission(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is said to a request that no token can make good."""
        named = _values(scope, b"host")
        if len(named) != 1 or named[0] not in self._hosts:
            return PlainTextResponse("This server answers to loopback addresses alone.\n", 421)
        if scope["method"] not in _METHODS:
            return PlainTextResponse("This server only shows.\n", 405, {"allow": ", ".join(_METHODS)})
        return None

    def _admission(self, scope: Scope) -> Response | None:
        """None where the cookie is right; the way in where the token is; else a refusal."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == TOKEN]
        if given and _same(given[0], self._access.token):
            rest = urlencode([(name, value) for name, value in query if name != TOKEN])
            # The path is this server's own: one that begins with two slashes would name another host.
            path = "/" + quote(str(scope["path"]).lstrip("/\\"))
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(self._cookie, self._access.session, httponly=True, samesite="strict", path="/")
            return answer
        site = next(iter(_values(scope, b"sec-fetch-site")), None)
        if site in _OWN_PAGES and any(_same(value, self._access.session) for value in _cookies(scope, self._cookie)):
            return None
        return PlainTextResponse("Open the address that `curate ui` printed; it holds a token.\n", 403)


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _values(scope: MutableMapping[str, Any], name: bytes) -> Sequence[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _cookies(scope: MutableMapping[str, Any], name: str) -> list[str]:
    pairs = [part.strip().partition("=") for header in _values(scope, b"cookie") for part in header.split(";")]
    return [value for key, _, value in pairs if key == name]
