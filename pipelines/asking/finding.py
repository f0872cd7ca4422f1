"""Which documents a person means: by an id or its beginning, any form of a URL, a host, or a part of a URL."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.why import History, follow
from manifests.errors import InputError
from manifests.single_rows import read_one
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines.asking.addresses import host_of, hosts_of_forms, loose_form, loose_forms
from pipelines.asking.index import Index, Indexed

_ID: Final = re.compile(r"[0-9a-fA-F]{6,32}")
_ID_DIGITS: Final = 32
_MIN_PART: Final = 3
_NEAREST: Final = 5
_COMPARED_PAGES: Final = 200
_SECONDS: Final = 20.0  # of reading all addresses of a run, which no index holds
_COMPARED: Final = 5_000  # names that are compared letter by letter

Place = tuple[Indexed, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a question matched. how: `id`, `url`, `form`, `host` or `part`. total: matches, of which `histories` are the
    first; more: whether there may be others still."""

    how: str
    total: int
    histories: list[History]
    more: bool = False


class Finder:
    """Finds documents in a run.

    Args:
        files: The run's.
    """

    def __init__(self, files: StageFiles) -> None:
        self.files = files
        self._whole = True  # whether every address was read that had to be

    @cached_property
    def index(self) -> Index:
        return Index(self.files)

    def find(self, query: str, limit: int = 20) -> Found:
        """Follow the documents that a query means.

        Args:
            query: 32 hex digits of a doc_id, or its first ones, at least 6; a URL, with or without scheme and `www.`; a
                host, or a part of a URL.
            limit: How many documents to follow.
        Returns:
            Their histories: of a URL as it is archived, else of its other forms, else of a host's pages, else of every
            URL that holds the query.
        Raises:
            InputError: There is none; the hint names the nearest.
        """
        for how, places in self._attempts(query):
            if places:
                return Found(how, len(places), [self._follow(place) for place in places[:limit]])
        places, more = self._parts(query, limit)
        if places:
            return Found("part", len(places), [self._follow(place) for place in places], more)
        looked = "" if self._whole else f", as far as {_SECONDS:g} seconds of reading tell"
        raise InputError(f"no document or exclusion has this URL, host or id, nor a URL that holds it{looked}",
                         where=query, hint=self._nearest(query))

    def documents(self, query: str) -> list[History]:
        """Follow the documents of one URL, in any of its forms, or of an id.

        Args:
            query: A URL, or a doc_id of 32 hex digits.
        Returns:
            A history for each document: an archive may hold a page twice.
        Raises:
            InputError: There is none; the hint names the nearest.
        """
        if len(query) == _ID_DIGITS and _ID.fullmatch(query) and (places := self._ids(query.lower())):
            return [self._follow(place) for place in places]
        for places in self._urls(query, loose_form(query)):
            if places:
                return [self._follow(place) for place in places]
        raise InputError("no document or exclusion has this URL or id", where=query, hint=self._nearest(query))

    def _follow(self, place: Place) -> History:
        return follow(self.files, place[0].file, place[1], self.index)

    def _attempts(self, query: str) -> Iterator[tuple[str, list[Place]]]:
        if _ID.fullmatch(query):
            yield "id", self._ids(query.lower())
        form = loose_form(query)
        exact, loose = self._urls(query, form)
        if "://" in query or "/" in query.strip("/"):
            yield "url", exact
            yield "form", loose
        if form and form == host_of(form):
            hosted = sorted(self.index.host(form), key=_order)
            # Two hosts of one key are next to impossible, and a page's URL costs its file's footer.
            own = [place for place in hosted[:_COMPARED_PAGES] if _host(self._url(place)) == form]
            yield "host", own + hosted[_COMPARED_PAGES:] if own else []
        yield "url", exact
        yield "form", loose

    def _ids(self, digits: str) -> list[Place]:
        padded = bytes.fromhex(digits.ljust(32, "0"))
        found = [(entry, row) for entry, row in self.index.documents(padded, len(digits))
                 if read_one(self.files.path(entry.file), row, ["doc_id"])["doc_id"].hex().startswith(digits)]
        if found or len(digits) < 32:
            return sorted(found, key=_order)
        # Perhaps a fragment of a document, which has an id of its own.
        parents = [read_one(self.files.path(file), row, ["parent_id"])["parent_id"]
                   for file, row in self.index.clean(padded)]
        return [place for parent in parents if parent for place in self._ids(parent.hex())]

    def _urls(self, query: str, form: str) -> tuple[list[Place], list[Place]]:
        """(pages archived under this very URL, those of the same loose form)."""
        loose = [(place, self._url(place)) for place in sorted(self.index.pages(form), key=_order)]
        same = [place for place, url in loose if url == query]
        return same, [place for place, url in loose if url is not None and loose_form(url) == form]

    def _url(self, place: Place) -> str | None:
        url: str | None = read_one(self.files.path(place[0].file), place[1], ["url"])["url"]
        return url

    def _parts(self, query: str, limit: int) -> tuple[list[Place], bool]:
        """(pages whose URL holds the query, whether there may be more): the addresses are read until enough match."""
        found: list[Place] = []
        if len(query) < _MIN_PART:
            return found, False
        end = time.monotonic() + _SECONDS
        for entry in self._addressed():
            if time.monotonic() > end:
                self._whole = False
                return found, True
            urls = read_table(self.files.path(entry.file), ["url"])["url"]
            hits = pc.match_substring(urls, query, ignore_case=True)
            found += [(entry, int(row)) for row in pc.indices_nonzero(pc.fill_null(hits, False)).to_pylist()]
            if len(found) > limit:
                return found[:limit], True
        return found, False

    def _addressed(self) -> Iterator[Indexed]:
        return (entry for entry in self.index.indexed if entry.kind in ("documents", "exclusions"))

    def _nearest(self, query: str) -> str:
        form = loose_form(query)
        hosted = self.index.host(host_of(form))
        if hosted and form != host_of(form):
            urls = {loose_form(url): url for url in map(self._url, hosted[:_COMPARED]) if url is not None}
            close = difflib.get_close_matches(form, list(urls), n=_NEAREST, cutoff=0.5)
            named = [urls[name] for name in close] or list(urls.values())[:_NEAREST]
            return f"of {len(hosted):,} documents of {host_of(form)}, the nearest: {', '.join(named)}"
        if close := difflib.get_close_matches(host_of(form), self._similar_hosts(host_of(form)), n=_NEAREST):
            return f"no page of that host either; the nearest hosts: {', '.join(close)}"
        return "`curate domains` lists the hosts, `curate status` says which stages have run"

    def _similar_hosts(self, host: str) -> list[str]:
        """Hosts that have four letters in a row in common with one."""
        runs = {re.escape(host[i : i + 4]) for i in range(max(1, len(host) - 3))} - {re.escape(".com"), "\\.org"}
        found: set[str] = set()
        end = time.monotonic() + _SECONDS
        for entry in self._addressed():
            if time.monotonic() > end:
                break
            hosts = pc.unique(_hosts(read_table(self.files.path(entry.file), ["url"])["url"])).drop_null()
            if runs:
                found.update(hosts.filter(pc.match_substring_regex(hosts, "|".join(sorted(runs)))).to_pylist())
            if len(found) > _COMPARED:
                break
        return sorted(found)


def find(run: str, query: str, limit: int = 20) -> Found:
    """`Finder.find` in the run at a path or URL."""
    storage = Storage(run)
    storage.must_exist()
    return Finder(StageFiles(storage)).find(query, limit)


def _hosts(urls: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    hosts: Any = hosts_of_forms(loose_forms(urls))
    return hosts.combine_chunks()


def _host(url: str | None) -> str | None:
    return None if url is None else host_of(loose_form(url))


def _order(place: Place) -> tuple[str, str, int]:
    return place[0].file.task, place[0].kind, place[1]

