"""Rules on a page's address, applied to a column of URLs at once and before any HTML is parsed."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.blocklists import ListFile, ListTable, list_files, load_lists
from curate.sources.rows import ExtractReason
from curate.sources.url_config import BLOCKLIST_INPUT, OPTED_OUT_INPUT, UrlRules, pattern_of
from manifests.errors import InputError

_SCHEME: Final = r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):"
_EXTENSION: Final = r"^[^:/?#]+://[^/?#]*/(?:[^?#]*/)?[^/?#]*\.(?P<extension>[A-Za-z0-9]{1,8})(?:[?#]|$)"
_MAX_LABELS: Final = 16  # of a host name, when its parent domains are looked up


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
