"""Rules on a page's address, applied to a column of URLs at once and before any HTML is parsed."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from curate.sources.blocklists import Blocklist, ListFile, ListTable, list_files, load_lists, pattern_of
from curate.sources.rows import ExtractReason
from manifests.errors import InputError

_SCHEME: Final = r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):"
_EXTENSION: Final = r"^[^:/?#]+://[^/?#]*/(?:[^?#]*/)?[^/?#]*\.(?P<extension>[A-Za-z0-9]{1,8})(?:[?#]|$)"
BLOCKLIST_INPUT: Final = "extract.urls.blocklists"
"""Input of a task that holds the files of the list with this number."""
OPTED_OUT_INPUT: Final = "extract.robots.opted_out"
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
    blocklists: tuple[Blocklist, ...] = Field(
        default=(), description="Lists of domains, hosts, URLs and words; the reason of a drop names the category.")


@dataclass(frozen=True, slots=True)
class UrlLists:
    """The lists that rules name, loaded; None where they name none."""

    blocked: ListTable | None = None
    opted_out: ListTable | None = None


def load_url_lists(rules: UrlRules, opted_out: Sequence[str], inputs: Callable[[str], Sequence[str]]) -> UrlLists:
    """The lists of a recipe. inputs: the files of a list by the name of its field, none where the paths of the recipe
    are to be taken as they are."""
    blocked = [f for i, entry in enumerate(rules.blocklists)
               for f in list_files(entry, _files(entry.path, inputs(f"{BLOCKLIST_INPUT}.{i}")))]
    out = [ListFile(f, "domains", "opted_out")
           for i, path in enumerate(opted_out) for f in _files(path, inputs(f"{OPTED_OUT_INPUT}.{i}"))]
    return UrlLists(load_lists(blocked) if blocked else None, load_lists(out) if out else None)


def _files(path: str, given: Sequence[str]) -> list[str]:
    paths = list(given) or sorted(p for p in glob.glob(pattern_of(path), recursive=True) if os.path.isfile(p))
    if not paths:
        raise InputError("no list is there", where=path, hint="give a file, a pattern or a folder")
    return paths


def url_reasons(urls: pa.Array, host: pa.Array, rules: UrlRules, lists: UrlLists = UrlLists()) -> pa.Array:
    """The first rule that each URL breaks, or null; a row without a URL breaks none. string [n] -> string [n]."""
    known = pc.is_valid(urls)
    nowhere = pc.and_(known, False)
    extension = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _EXTENSION), "extension"))
    failed = [
        (ExtractReason.URL_SCHEME, pc.and_(known, pc.invert(_scheme_taken(urls, rules)))),
        (ExtractReason.BLOCKED_HOST, _host_blocked(host, rules)),
        (ExtractReason.OPTED_OUT, pc.is_valid(lists.opted_out.match(urls, host)) if lists.opted_out else nowhere),
        (ExtractReason.URL_EXTENSION, pc.is_in(extension, pa.array(rules.blocked_extensions, pa.string()))),
    ]
    reasons = pa.nulls(len(urls), pa.string())
    for reason, mask in reversed(failed):
        reasons = pc.if_else(mask, pa.scalar(str(reason)), reasons)
    if lists.blocked is None:
        return reasons
    category = lists.blocked.match(urls, host)
    listed = pc.binary_join_element_wise(pa.scalar(str(ExtractReason.BLOCKLIST)), category, "_")
    first = pa.array([str(ExtractReason.URL_SCHEME), str(ExtractReason.BLOCKED_HOST)])
    return pc.if_else(pc.and_(pc.is_valid(listed), pc.invert(pc.is_in(reasons, first))), listed, reasons)


def _scheme_taken(urls: pa.Array, rules: UrlRules) -> pa.Array:
    if not rules.schemes:
        return pc.is_in(urls, urls)
    scheme = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _SCHEME), "scheme"))
    return pc.is_in(scheme, pa.array(rules.schemes, pa.string()))


def _host_blocked(host: pa.Array, rules: UrlRules) -> pa.Array:
    """Whether a host or a domain above it is blocked: labels are cut from the left until none is left."""
    blocked = pa.array([h.lower().strip(".") for h in rules.blocked_hosts], pa.string())
    is_blocked = pc.is_in(host, blocked)
    if not len(blocked):
        return is_blocked
    for _ in range(_MAX_LABELS):
        host = pc.replace_substring_regex(host, r"^[^.]*\.?", "")
        is_blocked = pc.or_(is_blocked, pc.is_in(host, blocked))
        if not pc.any(pc.greater(pc.binary_length(host), 0)).as_py():
            break
    return is_blocked
