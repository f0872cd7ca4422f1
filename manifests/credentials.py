"""What lets a reader in is never part of a recipe, a record, a log or an error: URLs are named without it.

A user and a password come from a netrc file (`$NETRC`, else `~/.netrc`). A URL that somebody signed is one line of the
file that `$CURATE_SIGNED_URLS` names; a recipe names it without its query. Keys of S3 are AWS's own settings' to say.
"""

from __future__ import annotations

import base64
import netrc
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from manifests.errors import RecipeError

SIGNED_URLS: Final = "CURATE_SIGNED_URLS"
_SECRET_ENDINGS: Final = (
    "signature", "sig", "token", "credential", "credentials", "accesskey", "accesskeyid", "accessid", "keypairid",
    "apikey", "password", "passwd", "pwd", "secret", "secretkey", "auth", "authorization", "jwt", "hmac", "hdnea",
    "hdnts", "hdntl", "sessionid")
"""How names of parameters that let somebody in end, without what is no letter."""
_PLAIN_STARTS: Final = ("page", "next", "continuation")  # tokens that only say where a listing goes on
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def public(url: str) -> str:
    """A URL without user, password and whatever part of it is signed; other text with the URLs in it so."""
    if "://" not in url:
        return url
    if not _SCHEME.match(url):
        return _URL.sub(lambda match: public(match[0]), url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://…"
    path, _, parameters = parts.path.partition(";")
    return urlunsplit(parts._replace(
        netloc=parts.netloc.rpartition("@")[2], path=path if _is_signed(parameters) else parts.path,
        query="" if _is_signed(parts.query) else parts.query,
        fragment="" if _is_signed(parts.fragment) else parts.fragment))


def has_secrets(text: str) -> bool:
    """Whether a text is a URL that names a user or is signed, or has one in it."""
    if "://" not in text:
        return False
    if not _SCHEME.match(text):
        return any(map(has_secrets, _URL.findall(text)))
    try:
        parts = urlsplit(text)
    except ValueError:
        return "@" in text
    return "@" in parts.netloc or any(map(_is_signed, (parts.query, parts.fragment, parts.path.partition(";")[2])))


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
    names = (re.sub(r"[^a-z]", "", name.lower()) for part in query.split(";")
             for name, _ in parse_qsl(part, keep_blank_values=True))
    return any(name.endswith(_SECRET_ENDINGS) and not name.startswith(_PLAIN_STARTS) for name in names)


@lru_cache(maxsize=4)
def _signed_urls(path: str, changed: int) -> dict[str, str]:
    with open(path, encoding="utf-8") as stream:
        lines = [line.strip() for line in stream if line.strip()]
    return {public(line): line for line in lines}
