"""The index of a run, `RUN/_index/`: where a document is, by id, by URL and by host.

It is made when a question first needs it, from the tables that the stages left, and made anew when one of those has
changed; no output depends on it, and deleting it loses nothing. A folder of its own for each state of the run, whose
`index.json` is written last, so that two makers do not disturb each other. Where the run cannot be written to, the
index is made in a temporary folder, for one process. A table that is damaged is found before it is believed, and all
are made again.
"""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.why import shard_spans
from manifests.hashing import id_words
from manifests.single_rows import read_one
from manifests.stage_files import StageFile, StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines.asking.addresses import hosts_of_forms, loose_forms
from pipelines.asking.entries import DamagedTableError, EntryReader, EntryWriter, bits_for, id_key, id_keys
from pipelines.terminal import printable

FOLDER: Final = "_index/"
_FORMAT: Final = 2
_STAGES: Final = ("extract", "clean")
_SAID_FROM: Final = 100_000  # documents: making the index of fewer takes no time worth a word


@dataclass(frozen=True, slots=True)
class Indexed:
    """A file whose rows the index knows. kind: documents, exclusions, clean or spans. file: for spans, its path only.
    """

    kind: str
    file: StageFile


class Index:
    """Look-ups in a run. Made where there is none, or an old one.

    Args:
        files: The run's.
    """

    def __init__(self, files: StageFiles) -> None:
        self.files = files
        self.indexed = list(_indexed(files))
        state = _state(files, self.indexed)
        self._folder = f"{FOLDER}{state}"
        self._storage = files.storage
        facts = _facts(self._storage, self._folder, _bits(self.indexed))
        self._made = facts is None
        self._open(self._make() if facts is None else facts)

    def _open(self, facts: dict[str, Any]) -> None:
        self._tables = {name: EntryReader(self._storage, self._folder, name, bits)
                        for name, bits in facts["bits"].items()}

    def _find(self, table: str, key: int, until: int | None = None) -> list[tuple[int, int]]:
        """(number of a file, row) of the entries of a key, or of those from it to below another; from tables that are
        made again, once, where they are damaged."""
        try:
            found = self._tables[table].find(key, until)
            if not all(self._is_there(number, row) for number, row in found):
                raise DamagedTableError("names what is not there", where=self._storage.path(f"{self._folder}/{table}"))
        except DamagedTableError as error:
            if self._made:
                raise
            print(f"{printable(str(error))}: making the index again", file=sys.stderr)
            self._made = True
            self._open(self._make())
            return self._find(table, key, until)
        return found

    def _is_there(self, number: int, row: int) -> bool:
        return number < len(self.indexed) and (self.indexed[number].file.n_rows < 0
                                               or row < self.indexed[number].file.n_rows)

    def documents(self, doc_id: bytes, digits: int = 32) -> Iterator[tuple[Indexed, int]]:
        """Files and rows of what has an id, or one that begins so. digits: how many of the id's hex digits count."""
        shift = max(0, 64 - 4 * digits)
        first = id_key(doc_id) >> shift << shift
        for number, row in self._find("ids", first, first + (1 << shift)):
            yield self.indexed[number], row

    def pages(self, form: str) -> list[tuple[Indexed, int]]:
        """Files and rows of the extracted documents, and exclusions, whose URL has a loose form."""
        return [(self.indexed[number], row) for number, row in self._find("pages", _hash(form))]

    def host(self, host: str) -> list[tuple[Indexed, int]]:
        """The same of those of a host, as loose forms have it."""
        return [(self.indexed[number], row) for number, row in self._find("hosts", _hash(host))]

    def clean(self, doc_id: bytes) -> list[tuple[StageFile, int]]:
        """Where a document, or its parts, are in the clean corpus."""
        found = []
        for number, row in self._find("clean", id_key(doc_id)):
            table = _row(self.files, self.indexed[number], row)
            if doc_id in (table["doc_id"], table["parent_id"]):
                found.append((self.indexed[number].file, row))
        return found

    def spans(self, doc_id: bytes) -> list[tuple[str, npt.NDArray[np.int64]]]:
        """Where a clean document is in packed shards."""
        by_shard: dict[str, list[int]] = {}
        for number, row in self._find("spans", id_key(doc_id)):
            by_shard.setdefault(self.indexed[number].file.task, []).append(row)
        return [(shard, np.asarray(rows, np.int64)) for shard, rows in sorted(by_shard.items())]

    def _make(self) -> dict[str, Any]:
        n = sum(max(0, entry.file.n_rows) for entry in self.indexed)
        if n > _SAID_FROM:
            print(f"indexing {self._storage.root} for questions, once: {n:,} rows", file=sys.stderr)
        try:
            return _build(self.files, self.indexed, self._storage, self._folder)
        except OSError:  # a run that is not this user's, or a full disk
            folder = tempfile.mkdtemp(prefix="curate-index-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._storage = Storage(folder)
            return _build(self.files, self.indexed, self._storage, self._folder)


def drop_index(storage: Storage) -> None:
    """Delete a run's index."""
    for name in storage.list(FOLDER.rstrip("/")):
        storage.remove(name)


def _indexed(files: StageFiles) -> Iterator[Indexed]:
    for role in ("documents", "exclusions"):
        for file in files.of("extract", role):
            yield Indexed(role, file)
    for file in files.of("clean", "documents"):
        yield Indexed("clean", file)
    for shard, path, n_spans, digest in _shards(files.storage):
        yield Indexed("spans", StageFile(shard, "spans", path, n_spans, digest))


def _shards(storage: Storage) -> Iterator[tuple[str, str, int, str]]:
    paths = shard_spans(storage)
    if paths:
        table = read_table(storage.path("packed/manifest.parquet"), ["n_spans", "spans_xxh3"])
        for (shard, path), n, digest in zip(paths, table["n_spans"].to_pylist(), table["spans_xxh3"].to_pylist(),
                                            strict=True):
            yield shard, path.removeprefix(f"{storage.root.rstrip('/')}/"), n, digest


def _state(files: StageFiles, indexed: list[Indexed]) -> str:
    packed = [[entry.file.path, entry.file.digest] for entry in indexed if entry.kind == "spans"]
    text = json.dumps([_FORMAT, files.state(*_STAGES), packed])
    return xxhash.xxh3_64_hexdigest(text.encode())


def _facts(storage: Storage, folder: str, bits: dict[str, int]) -> dict[str, Any] | None:
    """What an index says of itself; None where there is none, or it is not of such tables."""
    data = storage.read_bytes(f"{folder}/index.json")
    try:
        facts = json.loads(data or b"")
        return facts if facts["bits"] == bits else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _bits(indexed: list[Indexed]) -> dict[str, int]:
    """Bits of a key that name its partition, by table: by how many entries there are."""
    sizes = {kind: sum(max(0, e.file.n_rows) for e in indexed if e.kind == kind)
             for kind in ("documents", "exclusions", "clean", "spans")}
    seen = sizes["documents"] + sizes["exclusions"]
    return {"ids": bits_for(seen), "pages": bits_for(seen), "hosts": bits_for(seen),
            "clean": bits_for(sizes["clean"]), "spans": bits_for(sizes["spans"])}


def _build(files: StageFiles, indexed: list[Indexed], storage: Storage, folder: str) -> dict[str, Any]:
    """Write every table of the index, then its `index.json`; older indexes go."""
    bits = _bits(indexed)
    with storage.staging() as staging:
        tables = {name: EntryWriter(staging, name, n_bits) for name, n_bits in bits.items()}
        for number, entry in enumerate(indexed):
            _add(files, tables, number, entry)
        for table in tables.values():
            table.publish(storage, folder)
    facts = {"bits": bits}
    storage.write_bytes(f"{folder}/index.json", json.dumps(facts).encode())
    for name in storage.list(FOLDER.rstrip("/")):
        if not name.startswith(f"{folder}/"):
            storage.remove(name)
    return facts


def _add(files: StageFiles, tables: dict[str, EntryWriter], number: int, entry: Indexed) -> None:
    columns = {"documents": ["doc_id", "url"], "exclusions": ["doc_id", "url"], "clean": ["doc_id", "parent_id"],
               "spans": ["doc_id"]}[entry.kind]
    table = read_table(files.path(entry.file), columns)
    keys, rows = id_keys(id_words(table["doc_id"])), np.arange(len(table))
    if entry.kind == "spans":
        tables["spans"].add(keys, number, rows)
    elif entry.kind == "clean":
        whole = table["parent_id"].is_null().to_numpy()
        parents = pc.fill_null(table["parent_id"], pa.scalar(b"\0" * 16, pa.binary(16)))
        tables["clean"].add(keys, number, rows)
        tables["clean"].add(id_keys(id_words(parents))[~whole], number, rows[~whole])
    else:
        tables["ids"].add(keys, number, rows)
        forms = loose_forms(table["url"])
        has_url = forms.is_valid().to_numpy()
        tables["pages"].add(_hashes(forms.drop_null()), number, rows[has_url])
        tables["hosts"].add(_hashes(hosts_of_forms(forms.drop_null())), number, rows[has_url])


def _row(files: StageFiles, entry: Indexed, row: int) -> dict[str, Any]:
    return read_one(files.path(entry.file), row, ["doc_id", "parent_id"])


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())


def _hashes(texts: pa.ChunkedArray[Any]) -> npt.NDArray[np.uint64]:
    """xxh3-64 of each distinct text is made once: hosts repeat."""
    encoded = texts.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    keys = np.fromiter((_hash(text) for text in encoded.dictionary.to_pylist()), np.uint64, len(encoded.dictionary))
    return keys[encoded.indices.to_numpy(zero_copy_only=False)] if len(encoded) else np.empty(0, np.uint64)
