"""Rules on a page's address, applied to a column of URLs at once and before any HTML is parsed."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from curate.document import ExtractReason

_AUTHORITY: Final = r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*))?"
_EXTENSION: Final = r"^[^:/?#]+://[^/?#]*/(?:[^?#]*/)?[^/?#]*\.(?P<extension>[A-Za-z0-9]{1,8})(?:[?#]|$)"
_MAX_LABELS: Final = 16  # of a host name, when its parent domains are looked up


class UrlRules(BaseModel):
    """Which addresses may give documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schemes: tuple[str, ...] = Field(
        default=("http", "https"), description="URL schemes that are taken, in lower case; empty takes all.")
    blocked_extensions: tuple[str, ...] = Field(
        default=("jpg", "jpeg", "png", "gif", "webp", "svg", "ico", "mp3", "mp4", "avi", "webm", "mov", "wav", "zip",
         "gz", "tar", "rar", "7z", "exe", "dmg", "apk", "iso", "css", "js", "json", "xml", "rss", "atom", "pdf", "doc",
         "docx", "xls", "xlsx", "ppt", "pptx", "woff", "woff2", "ttf"),
        description="File extensions of the URL's path, in lower case and without the dot, whose pages are dropped.")
    blocked_hosts: tuple[str, ...] = Field(
        default=(), description="Host names whose pages are dropped, those of their subdomains too.")


def hosts(urls: pa.Array) -> pa.Array:
    """Lower-case host of each URL, without user, port and final dot; null where there is none. string [n]."""
    host = pc.struct_field(pc.extract_regex(urls, _AUTHORITY), "host")
    host = pc.utf8_rtrim(pc.utf8_lower(host), ".")
    return pc.if_else(pc.equal(host, ""), pa.scalar(None, pa.string()), host)


def url_reasons(urls: pa.Array, host: pa.Array, rules: UrlRules) -> pa.Array:
    """The first rule that each URL breaks, or null; a row without a URL breaks none. string [n] -> string [n]."""
    known = pc.is_valid(urls)
    extension = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _EXTENSION), "extension"))
    failed = [
        (ExtractReason.URL_SCHEME, pc.and_(known, pc.invert(_scheme_taken(urls, rules)))),
        (ExtractReason.BLOCKED_HOST, _host_blocked(host, rules)),
        (ExtractReason.URL_EXTENSION, pc.is_in(extension, pa.array(rules.blocked_extensions, pa.string()))),
    ]
    reasons = pa.nulls(len(urls), pa.string())
    for reason, mask in reversed(failed):
        reasons = pc.if_else(mask, pa.scalar(str(reason)), reasons)
    return reasons


def _scheme_taken(urls: pa.Array, rules: UrlRules) -> pa.Array:
    if not rules.schemes:
        return pc.is_in(urls, urls)
    scheme = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _AUTHORITY), "scheme"))
    return pc.is_in(scheme, pa.array(rules.schemes, pa.string()))


def _host_blocked(host: pa.Array, rules: UrlRules) -> pa.Array:
    """Whether a host or a domain above it is blocked: labels are cut from the left until none is left."""
    blocked = pa.array([h.lower().strip(".") for h in rules.blocked_hosts], pa.string())
    found = pc.is_in(host, blocked)
    if not len(blocked):
        return found
    for _ in range(_MAX_LABELS):
        host = pc.replace_substring_regex(host, r"^[^.]*\.?", "")
        found = pc.or_(found, pc.is_in(host, blocked))
        if not pc.any(pc.greater(pc.binary_length(host), 0)).as_py():
            break
    return found
