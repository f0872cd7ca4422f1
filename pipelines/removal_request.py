"""Which documents of a run a list of URLs or ids names, and which others are copies of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import InputError, RecipeError
from manifests.schema import ID
from manifests.storage import Storage, open_read
from manifests.tables import read_table
from manifests.tasks import MANIFEST

_COLUMNS = ["doc_id", "source", "url"]
_SHOWN = 10


@dataclass(slots=True)
class Matches:
    """Documents by id: their source and URL. unknown: what was asked for and is not in the run."""

    documents: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def read_list(path: str) -> list[str]:
    """Lines of a UTF-8 text file, without blanks around them and without empty ones; each once, in order."""
    with open_read(path) as stream:
        try:
            lines = stream.read().decode().splitlines()
        except UnicodeDecodeError as error:
            raise InputError("is no UTF-8 text", where=path) from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def parse_ids(lines: Sequence[str]) -> list[bytes]:
    """doc_ids of 32 hex digits; RecipeError names a line that is none."""
    ids = []
    for line in lines:
        try:
            value = bytes.fromhex(line)
        except ValueError:
            value = b""
        if len(value) != 16:
            raise RecipeError(f"{line!r} is no doc_id: 32 hex digits", where="--doc-ids")
        ids.append(value)
    return ids


def find_documents(storage: Storage, urls: Sequence[str], doc_ids: Sequence[bytes]) -> Matches:
    """Documents and exclusions of the run with these URLs, as archived, or these ids.

    The id of a clean fragment means its document. Reads ids and URLs, a part at a time."""
    matches = Matches()
    wanted = set(doc_ids)
    parents = _parents(storage, wanted)
    wanted |= set(parents.values())
    url_set, id_set = pa.array(list(urls), pa.string()), pa.array(sorted(wanted), ID)
    seen_urls: set[str] = set()
    for path in storage.list("extract"):
        if not path.endswith(".parquet") or PurePosixPath(path).name == MANIFEST:
            continue
        table = read_table(storage.path(path), _COLUMNS)
        hits = pc.or_(pc.fill_null(pc.is_in(table["url"], value_set=url_set), False),
                      pc.is_in(table["doc_id"], value_set=id_set))
        for row in table.filter(hits).to_pylist():
            matches.documents[row["doc_id"]] = row
            seen_urls.add(row["url"])
    matches.unknown = [u for u in urls if u not in seen_urls]
    matches.unknown += [i.hex() for i in doc_ids if parents.get(i, i) not in matches.documents]
    return matches


def _parents(storage: Storage, wanted: set[bytes]) -> dict[bytes, bytes]:
    """The extracted document of every wanted id that is a fragment's."""
    if not wanted:
        return {}
    ids, parents = pa.array(sorted(wanted), ID), dict[bytes, bytes]()
    for path in storage.list("clean"):
        if path.endswith(".parquet") and PurePosixPath(path).name != MANIFEST:
            table = read_table(storage.path(path), ["doc_id", "parent_id"])
            fragments = table.filter(pc.and_(pc.is_in(table["doc_id"], value_set=ids), pc.is_valid(table["parent_id"])))
            parents |= {r["doc_id"]: r["parent_id"] for r in fragments.to_pylist()}
    return parents


def copies_of(storage: Storage, doc_ids: Sequence[bytes]) -> list[bytes]:
    """Documents that deduplication found to be the same as these: what they duplicate, and what duplicates those."""
    known = set(doc_ids)
    kept = _duplicates(storage, "doc_id", known, "duplicate_of")
    dropped = _duplicates(storage, "duplicate_of", known | kept, "doc_id")
    return sorted((kept | dropped) - known)


def _duplicates(storage: Storage, column: str, ids: set[bytes], other: str) -> set[bytes]:
    """Values of the other column where a column of dedup's decisions is one of the ids."""
    values, matches = pa.array(sorted(ids), ID), set[bytes]()
    for path in storage.list("dedup/decisions"):
        if path.endswith(".parquet") and PurePosixPath(path).name != MANIFEST and "/counts/" not in path:
            table = read_table(storage.path(path), ["doc_id", "duplicate_of"])
            rows = table.filter(pc.fill_null(pc.is_in(table[column], value_set=values), False))
            matches |= {v for v in rows[other].to_pylist() if v is not None}
    return matches


def require_known(matches: Matches) -> None:
    """Raise InputError naming what the run does not hold."""
    if matches.unknown:
        shown = ", ".join(matches.unknown[:_SHOWN]) + (" …" if len(matches.unknown) > _SHOWN else "")
        raise InputError(f"{len(matches.unknown)} of the documents asked for are not in the run: {shown}",
                         hint="URLs are compared as archived; --skip-unknown removes the others. Nothing was changed")
