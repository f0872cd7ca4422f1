"""What lets a reader in is never part of a recipe, a record, a log or an error: URLs are named without it.

A user and a password come from a netrc file (`$NETRC`, else `~/.netrc`). A URL that somebody signed is one line of the
file that `$CURATE_SIGNED_URLS` names; a recipe names it without its query. Keys of S3 are AWS's own settings' to say.
"""

from __future__ import annotations

import base64
import netrc
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from manifests.errors import RecipeError

SIGNED_URLS: Final = "CURATE_SIGNED_URLS"
_SECRET_PARAMETERS: Final = frozenset({
    "signature", "sig", "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature",
    "x-goog-credential", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "token", "access_token", "auth",
    "api_key", "apikey", "password", "secret"})


def public(url: str) -> str:
    """A URL without user, password and, where its query is signed, without the query; other text as it is."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        query = "" if _is_signed(parts.query) else parts.query
    except ValueError:
        return url.partition("://")[0] + "://…"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def has_secrets(url: str) -> bool:
    """Whether a text is a URL that names a user or is signed."""
    if "://" not in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url
    return "@" in parts.netloc or _is_signed(parts.query)


def refuse_secrets(value: Any, field: str = "") -> None:
    """Raise RecipeError, which does not repeat it, where some text in nested fields is a URL with a secret.

    Args:
        value: A text, or lists and mappings of them.
        field: Its name in the recipe, as the error names it.
    """
    if isinstance(value, str):
        if has_secrets(value):
            raise RecipeError(f"{public(value)[:200]} has a user, a password or a signature in it", where=field or None,
                              hint=f"name it without: users and passwords are read from a netrc file ($NETRC), signed "
                                   f"URLs from the file that {SIGNED_URLS} names, keys of s3:// from AWS's settings")
        return
    inner: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list | tuple) else ())
    for name, child in inner:
        refuse_secrets(child, f"{field}.{name}".lstrip("."))


def signed(url: str) -> str:
    """The URL to ask for: signed where `$CURATE_SIGNED_URLS` has it, else as it is. It is not to be shown."""
    path = os.environ.get(SIGNED_URLS)
    return _signed_urls(path, os.stat(path).st_mtime_ns).get(url, url) if path and os.path.exists(path) else url


def authorization(url: str) -> dict[str, str]:
    """Headers by which a server knows the user that a netrc file has for its host; none where it has none."""
    host = urlsplit(url).hostname
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        entry = netrc.netrc(path).authenticators(host) if host else None
    except (OSError, netrc.NetrcParseError):
        return {}
    if entry is None:
        return {}
    user, _, password = entry
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def without_query(text: str, url: str) -> str:
    """A message in which the query of a signed URL is left out, as libraries quote what they asked for."""
    query = urlsplit(url).query
    for secret in filter(None, {query, unquote(query)}):
        text = text.replace(secret, "…")
    return text


def _is_signed(query: str) -> bool:
    return any(name.lower() in _SECRET_PARAMETERS for name, _ in parse_qsl(query, keep_blank_values=True))


@lru_cache(maxsize=4)
def _signed_urls(path: str, changed: int) -> dict[str, str]:
    with open(path, encoding="utf-8") as stream:
        lines = [line.strip() for line in stream if line.strip()]
    return {public(line): line for line in lines}
