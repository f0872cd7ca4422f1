"""Requests over HTTP that are spaced, bounded in time, and retried within a budget.

urllib3 does the protocol: connection pools, TLS with certificates checked, proxies, a time-out for every wait. Trying
again is done here, after a pause that grows and is left partly to chance: a body that breaks must be resumed where it
broke, which urllib3 cannot do. Nothing of this reaches an output.
"""

from __future__ import annotations

import logging
import random
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from curate.sources.http_config import HttpConfig
from curate.sources.redirects import RedirectError, redirect_target
from manifests.credentials import authorization, signed, without_query
from manifests.errors import InputError

if TYPE_CHECKING:
    import urllib3

_LOG: Final = logging.getLogger(__name__)
_SHOWN_PAUSE_SECONDS: Final = 1.0
_READ_BYTES: Final = 1 << 18
_PROGRESS_BYTES: Final = 1 << 20  # after so many new bytes, earlier failures are forgotten
_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
# Of a server that is busy or guards itself; Common Crawl answers 403 and 503 to those who ask too fast.
_BUSY: Final = frozenset({403, 408, 425, 429, 500, 502, 503, 504})


class AttemptError(Exception):
    """One attempt failed. final: another would fail too. pause_seconds: what the server asks for."""

    def __init__(self, what: str, final: bool = False, pause_seconds: float = 0.0) -> None:
        super().__init__(what)
        self.final = final
        self.pause_seconds = pause_seconds


class RetryBudget:
    """Counts the failures of one file, pauses after each, and gives up after the last."""

    def __init__(self, config: HttpConfig, url: str) -> None:
        self._config = config
        self._url = url
        self._failures = 0
        self._progress = 0

    def received(self, n_bytes: int) -> None:
        self._progress += n_bytes
        if self._progress >= _PROGRESS_BYTES:
            self._failures = 0

    def failed(self, error: AttemptError) -> None:
        """Wait before the next attempt; raises InputError where there is none."""
        self._failures += 1
        self._progress = 0
        if error.final:
            raise InputError(f"cannot be fetched: {error}", where=self._url, hint="check the address") from error
        if self._failures >= self._config.attempts:
            raise InputError(f"cannot be fetched: {error}, and so {self._failures} times in a row", where=self._url,
                             hint="run again later: what is done stays; `http:` in the recipe sets the retries"
                             ) from error
        pause = self._config.backoff_seconds * 2.0 ** min(self._failures - 1, 30)
        # Shaken, so that many workers that failed together do not come back together.
        shaken = random.uniform(0.5, 1.0)  # nosec B311 # no secret
        pause = max(min(pause, self._config.max_backoff_seconds) * shaken, error.pause_seconds)
        pause = min(pause, self._config.max_backoff_seconds)
        if pause >= _SHOWN_PAUSE_SECONDS:
            _LOG.warning("%s: %s; asked again in %.0f s (%d of %d)", self._url, error, pause, self._failures + 1,
                         self._config.attempts)
        time.sleep(pause)


class HttpClient:
    """One connection's worth of HTTP: requests go out one at a time, spaced, with every wait bounded."""

    def __init__(self, config: HttpConfig) -> None:
        import urllib3  # here and below: whoever reads files of this machine need not load it

        self.config = config
        self._timeout = urllib3.Timeout(connect=config.timeout_seconds, read=config.timeout_seconds)
        # Retrying is ours, since a body that breaks must be resumed, not begun again; so are redirects, which lead to
        # public places alone.
        self._retry = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=0,
                                    raise_on_redirect=False)
        self._headers = {"User-Agent": config.user_agent, "Accept-Encoding": "identity"}
        self._pool: urllib3.PoolManager | None = None
        self._next_request = 0.0

    def request(self, url: str, ranged: str | None, method: str = "GET") -> urllib3.BaseHTTPResponse:
        """The head of an answer of status 200, 206 or 416. ranged: the value of Range. Raises AttemptError."""
        self._space_out()
        address = signed(url)
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._ask(address, method, {
                **self._headers, **({"Range": ranged} if ranged else {}),
                **(authorization(address) if urlsplit(address).netloc == urlsplit(url).netloc else {})})
            if response.status not in _REDIRECTS or "Location" not in response.headers:
                break
            response.close()
            try:
                address = redirect_target(address, response.headers["Location"], self.config.redirect_hosts)
            except RedirectError as error:
                raise AttemptError(str(error), final=True) from error
        else:
            raise AttemptError(f"the server leads on more than {_MAX_REDIRECTS} times", final=True)
        if response.status in (200, 206, 416):
            return response
        pause = _retry_after(response)
        response.close()
        raise AttemptError(f"the server answers {response.status} {response.reason or ''}".rstrip(),
                            response.status not in _BUSY, pause)

    def _ask(self, url: str, method: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """One request's answer, whatever its status. Raises AttemptError where there is none."""
        import urllib3

        try:
            return self._manager(url).request(method, url, headers=headers, preload_content=False,
                                              decode_content=False, retries=self._retry, timeout=self._timeout)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = getattr(error, "reason", None) or error
            final = isinstance(cause, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(cause)
            raise AttemptError(without_query(f"{type(cause).__name__}: {cause}", url), final) from error

    def fetch(self, url: str, start: int, n_bytes: int) -> bytes:
        """Exactly n_bytes of a file from `start`; raises InputError naming it where they cannot be had."""
        content, budget = bytearray(), RetryBudget(self.config, url)
        while len(content) < n_bytes:
            try:
                self._fetch_some(url, start, n_bytes, content, budget)
            except AttemptError as error:
                budget.failed(error)
        return bytes(content)

    def size_and_version(self, url: str) -> tuple[int, str | None]:
        """(bytes, ETag or date of change) of a file, from the head of a one-byte answer; raises InputError."""
        budget = RetryBudget(self.config, url)
        while True:
            try:
                with closing(self.request(url, "bytes=0-0")) as response:
                    total = content_range(response)[2] if response.status == 206 else content_length(response)
                    if total is None:
                        raise AttemptError("the server does not state its length", final=True)
                    return total, version_of(response)
            except AttemptError as error:
                budget.failed(error)

    def close(self) -> None:
        """Close what is open; a later request opens anew."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None

    def _fetch_some(self, url: str, start: int, n_bytes: int, content: bytearray, budget: RetryBudget) -> None:
        with closing(self.request(url, f"bytes={start + len(content)}-{start + n_bytes - 1}")) as response:
            if response.status != 206 or content_range(response)[0] != start + len(content):
                what = "has fewer bytes" if response.status == 416 else "is on a server that gives no ranges"
                raise AttemptError(f"bytes {start} to {start + n_bytes}: the file {what}", final=True)
            for data in received(response, self.config):
                content += data[: n_bytes - len(content)]
                budget.received(len(data))
                if len(content) >= n_bytes and response.length_remaining != 0:
                    return  # more is sent than was asked for; else its end is read, and the connection is used again
        if len(content) < n_bytes:
            raise AttemptError("the answer ends early")

    def _manager(self, url: str) -> urllib3.PoolManager:
        """The connection pool, through the proxy that the environment names for this address, if it does."""
        import urllib3

        if self._pool is None:
            address = urlsplit(url)
            proxy = urllib.request.getproxies_environment().get(address.scheme)
            if proxy and not urllib.request.proxy_bypass_environment(address.netloc):  # type: ignore[attr-defined]
                self._pool = urllib3.ProxyManager(proxy, maxsize=1)
            else:
                self._pool = urllib3.PoolManager(maxsize=1)
        return self._pool

    def _space_out(self) -> None:
        now = time.monotonic()
        if now < self._next_request:
            time.sleep(self._next_request - now)
        self._next_request = max(now, self._next_request) + 1 / self.config.requests_per_second


def received(response: urllib3.BaseHTTPResponse, config: HttpConfig) -> Iterator[bytes]:
    """The body of an answer as it comes; raises AttemptError where it breaks, stalls or crawls."""
    import urllib3

    waited, n_bytes = 0.0, 0
    while True:
        started = time.monotonic()
        try:
            data = cast(urllib3.HTTPResponse, response).read1(_READ_BYTES)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise AttemptError(f"the answer breaks: {type(error).__name__}: {error}") from error
        if not data:
            return
        waited, n_bytes = waited + time.monotonic() - started, n_bytes + len(data)
        if waited >= config.timeout_seconds:
            if n_bytes < config.min_bytes_per_second * waited:
                raise AttemptError(f"{n_bytes} bytes in {waited:.0f} seconds are too slow")
            waited, n_bytes = 0.0, 0
        yield data


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    """Seconds that the server asks to wait for: given as such, or as a date (RFC 9110, 10.2.3) by its own clock."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked[:9])
    until, now = _date(asked), _date(response.headers.get("Date", ""))
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds()) if until else 0.0


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def content_range(response: urllib3.BaseHTTPResponse) -> tuple[int | None, int | None, int | None]:
    """(first byte, last byte, length of the file) of an answer, as far as it states them."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        return None, None, None
    first, last, total = match.groups()
    return int(first) if first else None, int(last) if last else None, int(total) if total != "*" else None


def content_length(response: urllib3.BaseHTTPResponse) -> int | None:
    value = response.headers.get("Content-Length", "").strip()
    return int(value) if value.isdecimal() else None


def version_of(response: urllib3.BaseHTTPResponse) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified")
