"""The archived page that a document was extracted from, where its archive lies on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curate.charsets.reading import page_as_utf8
from curate.sources.files import below_common_folder, find_files
from curate.sources.http_config import HttpConfig
from curate.sources.records import read_records
from curate.sources.responses import decode_http, decode_resource
from curate.sources.warc import Damage, WarcEntry
from manifests.errors import CurateError, InputError
from manifests.storage import is_local, local_path

MAX_BYTES: Final = 8 << 20
_KINDS: Final = frozenset({"response", "resource", "conversion"})


@dataclass(frozen=True, slots=True)
class Archived:
    """A page as it was archived. source: its markup, as text, whatever encoding it was in. encoding: that one."""

    url: str | None
    archive: str
    offset: int
    status: int | None
    content_type: str | None
    encoding: str
    source: str


def archived_page(recipe: Mapping[str, Any], document: Mapping[str, Any], is_excluded: bool = False) -> Archived:
    """The record that a document was extracted from.

    Args:
        recipe: The run's resolved one, whose patterns say where the archives lay.
        document: Its source as it was read, `origin_path`, `origin_offset` and, if it was extracted, `origin_length`.
        is_excluded: Whether extraction left it out; exclusions do not hold how long a record is.
    Raises:
        InputError: It is no record of an archive, or the archive is not where it lay, or not the same file any more.
    """
    offset, length, name = document["origin_offset"], document.get("origin_length"), document["origin_path"]
    if not is_excluded and (length is None or length < 0):
        raise InputError("is no record of its own in an archive: a row of a table, or a text", where=f"{name}@{offset}")
    path = _find(recipe, document["source"], name)
    if length is None:
        length = max(0, min(os.path.getsize(path) - offset, 2 * MAX_BYTES))
    for entry in read_records(path, [(offset, length)], HttpConfig(), _KINDS, MAX_BYTES):
        if isinstance(entry, Damage):
            raise InputError(f"cannot be read: {entry.what}", where=f"{path} at {entry.offset}")
        if entry.kind in _KINDS:
            return _decoded(entry, path)
    raise InputError("holds no page at that offset: it is another file than the run read", where=f"{path} at {offset}")


def _decoded(entry: WarcEntry, path: str) -> Archived:
    where = f"{path} at {entry.offset}"
    if entry.block is None:
        raise InputError(f"holds a page of more than {MAX_BYTES:,} bytes", where=where)
    if entry.kind == "response":
        page = decode_http(entry.block, MAX_BYTES)
    else:
        page = decode_resource(entry.block, entry.fields.get("content-type"), MAX_BYTES)
    if page is None:
        raise InputError("holds no response that can be decoded", where=where)
    text = page_as_utf8(page.body, page.charset)
    return Archived(entry.url, path, entry.offset, page.status, page.content_type, text.encoding,
                    text.data.decode("utf-8", "replace"))


def _find(recipe: Mapping[str, Any], source: str, name: str) -> str:
    """The file of a source that is called so below the folder that its files share."""
    patterns = ((recipe.get("sources") or {}).get(source) or {}).get("files") or []
    hint = "start `curate ui` in the folder in which the run was started, where its files still lie there"
    local = [os.path.abspath(local_path(pattern)) for pattern in patterns if is_local(pattern)]
    if not local:
        raise InputError("was not read from files of this machine", where=f"source {source!r}, {name}")
    try:
        paths = find_files(local)
    except CurateError as error:
        raise InputError("is not where the recipe says", where=f"source {source!r}, {name}", hint=hint) from error
    for path, below in zip(paths, below_common_folder(paths), strict=True):
        if below == name:
            return path
    raise InputError("is not where the recipe says", where=f"source {source!r}, {name}", hint=hint)
