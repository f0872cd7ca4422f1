"""Does a run hold what its records and manifests say? Every check reads the files themselves."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from manifests.errors import CurateError, InputError
from manifests.manifest import read_manifest
from manifests.packing import PACKINGS
from manifests.removals import DOCUMENTS, PENDING, is_removed, removed_ids, removed_tokens
from manifests.rows import index_spans, open_rows
from manifests.run_records import Unreadable, every_stage
from manifests.shard import MANIFEST_VERSION, open_shard
from manifests.shards import TOKENIZER
from manifests.spans import spans_of
from manifests.stage_records import StageRecords
from manifests.storage import Storage, digest_file, open_read
from manifests.tables import read_table
from manifests.tasks import MANIFEST

_PACKED = "packed/"
_FILES = 1 << 14


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one file. problem: None where it passed."""

    path: str
    check: str
    problem: str | None = None


def verify(run: str) -> Iterator[Finding]:
    """Check every file of a run against its record, then the packed dataset against its manifest.

    Args:
        run: A run's folder or URL, or that of a packed dataset alone, which has no records to check. From behind a URL
            shards are copied here one at a time.
    Yields:
        A finding for each check, in a fixed order.
    Raises:
        InputError: There is neither a run nor a packed dataset; AbsentError where there is no such folder.
    """
    storage = Storage(run)
    if storage.exists(MANIFEST) and storage.exists("sources.parquet"):
        yield from verify_packed(storage, "")
        return
    is_run = False
    for name, records in every_stage(storage):
        is_run = True
        yield from _verify_records(storage, name, records)
    if not is_run and storage.exists(_PACKED + MANIFEST):  # what `curate pack` leaves
        yield from verify_packed(storage)
        return
    if not is_run:
        storage.must_exist()
        raise InputError("holds no records of tasks and no packed dataset: it is not a run", where=run)
    if storage.exists(PENDING):
        yield Finding(PENDING, "removal", "was interrupted: `curate remove RUN` finishes it")
    if storage.exists(_PACKED + MANIFEST):
        yield from verify_packed(storage)


def _verify_records(storage: Storage, name: str, records: StageRecords | Unreadable) -> Iterator[Finding]:
    """Every file of a stage against its record."""
    if isinstance(records, Unreadable):
        yield Finding(name, "record", "is not a complete record of a task, or table of them")
        return
    for batch in records.files().select(["path", "n_bytes", "digest"]).to_batches(max_chunksize=_FILES):
        for file in batch.to_pylist():
            yield Finding(file["path"], "content", _content_problem(storage, **file))


def verify_packed(storage: Storage, folder: str = _PACKED) -> Iterator[Finding]:
    """Check headers, payloads, spans, row indexes and row numbers of a packed dataset against its manifest.

    Args:
        storage: The run's files, or those of the packed dataset alone.
        folder: The dataset's folder below the storage's root, with a slash at the end.
    Yields:
        A finding for each check, in a fixed order.
    """
    try:
        read_manifest(storage.path(folder + MANIFEST))
    except CurateError as error:
        yield Finding(folder + MANIFEST, "manifest", str(error))
        return
    yield Finding(folder + MANIFEST, "manifest")
    manifest = read_table(storage.path(folder + MANIFEST))
    removed = removed_ids([storage.path(DOCUMENTS)] if storage.exists(DOCUMENTS) else [])
    lost = removed_tokens(storage, folder)
    for row in manifest.to_pylist():
        path = f"{folder}{row['path']}"
        try:
            yield from _verify_shard(storage, folder, row, lost.get((row["split"], row["shard_index"]), 0), removed)
        except (CurateError, pa.ArrowException, OSError) as error:
            yield Finding(path, "shard", str(error))
    for split in sorted(set(manifest["split"].to_pylist())):
        rows = manifest.filter(pc.equal(manifest["split"], split))
        first = np.concatenate(([0], np.cumsum(rows["n_rows"].to_numpy())[:-1]))
        same = (rows["first_row"].to_numpy() == first).all() and (
            rows["shard_index"].to_numpy() == np.arange(len(rows))).all()
        yield Finding(folder + MANIFEST, f"{split} rows are numbered without a gap",
                      None if same else "first_row or shard_index skips or repeats")
    yield from _verify_tokenizer(storage, folder, manifest)


def _verify_shard(storage: Storage, folder: str, row: dict[str, Any], n_removed: int,
                  removed: pa.Array) -> Iterator[Finding]:
    with _here(storage, [f"{folder}{row[name]}" for name in ("path", "rows_path") if row.get(name)]) as local:
        yield from _verify_files(storage, folder, row, n_removed, removed, local)


@contextmanager
def _here(storage: Storage, names: list[str]) -> Iterator[Callable[[str], str]]:
    """Local paths of files by their names: where they are, or copies, which go at the end."""
    if storage.local:
        yield storage.path
        return
    with storage.staging() as folder:
        paths = {name: f"{folder}/{i}" for i, name in enumerate(names)}
        for name, path in paths.items():
            with open_read(storage.path(name)) as source, open(path, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        yield lambda name: paths.get(name, storage.path(name))


def _verify_files(storage: Storage, folder: str, row: dict[str, Any], n_removed: int, removed: pa.Array,
                  local: Callable[[str], str]) -> Iterator[Finding]:
    path, spans_path = f"{folder}{row['path']}", f"{folder}{row['spans_path']}"
    header, tokens = open_shard(local(path))
    digest = xxhash.xxh3_128_hexdigest(tokens.view(np.uint8).data)
    yield Finding(path, "payload digest", _differs(digest, row["payload_xxh3"]) or _differs(
        header.payload_digest.hex(), row["payload_xxh3"]))
    facts = {"n_tokens": len(tokens), "n_rows": header.n_rows, "row_length": header.row_length,
             "eot_id": header.eot_id, "vocab_size": header.vocab_size, "n_spans": header.n_spans,
             "tokenizer_sha256": header.tokenizer_sha256.hex()}
    wrong = [f"{k} {v!r} in the header, {row[k]!r} in the manifest" for k, v in facts.items() if row[k] != v]
    yield Finding(path, "header", "; ".join(wrong) or None)
    yield Finding(path, "ids are in the vocabulary",
                  None if int(tokens.max()) < header.vocab_size else f"id {int(tokens.max())}")
    yield Finding(spans_path, "content", _differs(digest_file(storage.path(spans_path)), row["spans_xxh3"]))
    spans = read_table(storage.path(spans_path), ["doc_id", "token_start", "n_tokens", "row", "truncated_right"])
    yield Finding(spans_path, "spans", _spans_problem(spans, np.asarray(tokens), header.row_length, header.eot_id,
                                                      header.packing, n_removed))
    if row.get("rows_path"):
        yield from _verify_rows(storage, folder, row, spans_path, local(f"{folder}{row['rows_path']}"))
    if len(removed):
        n = pc.sum(is_removed(spans["doc_id"], removed)).as_py() or 0
        yield Finding(spans_path, "removed documents are gone", f"{n} spans name one" if n else None)


def _verify_rows(storage: Storage, folder: str, row: dict[str, Any], spans_path: str, full: str) -> Iterator[Finding]:
    path = f"{folder}{row['rows_path']}"
    yield Finding(path, "content", _differs(digest_file(full), row["rows_xxh3"]))
    n_rows, row_length = row["n_rows"], row["row_length"]
    stored = open_rows(full, n_rows, row_length, row["payload_xxh3"])
    wanted = index_spans(spans_of(read_table(storage.path(spans_path))), n_rows, row_length)
    same = (np.array_equal(stored.first[:], wanted.first[:]) and np.array_equal(stored.runs[:], wanted.runs[:])
            and stored.most_segments == wanted.most_segments)
    yield Finding(path, "says what the spans say", None if same else "a run, a source or what is learned differs")


def _verify_tokenizer(storage: Storage, folder: str, manifest: pa.Table) -> Iterator[Finding]:
    """The tokenizer that travels with a dataset of manifest version 2."""
    recorded: set[Any] = set(manifest["tokenizer_sha256"].to_pylist())
    if int(pc.max(manifest["format_version"]).as_py() or 0) >= MANIFEST_VERSION:
        try:
            data = storage.read_bytes(folder + TOKENIZER)
        except (CurateError, OSError) as error:
            yield Finding(folder + TOKENIZER, "digest", str(error))
            return
        problem = "is missing" if data is None else None if {hashlib.sha256(data).hexdigest()} == recorded else (
            "is another tokenizer than the manifest names")
        yield Finding(folder + TOKENIZER, "digest", problem)


def _spans_problem(spans: pa.Table, tokens: np.ndarray, row_length: int, eot_id: int, packing: str,
                   n_removed: int = 0) -> str | None:
    start = spans["token_start"].to_numpy().astype(np.int64)
    end = start + spans["n_tokens"].to_numpy()
    rows = spans["row"].to_numpy()
    if (start // row_length != rows).any() or ((end - 1) // row_length != rows).any():
        return "a span crosses its row"
    if (start[1:] < end[:-1]).any():
        return "spans overlap"
    if (len(start) and start[0] == 0) or tokens[0] != eot_id:
        return "there is no end-of-text token before the first document"
    gap = len(tokens) - 1 - n_removed - int((end - start).sum())
    is_tail = 0 < gap < row_length and int(end.max(initial=1)) <= len(tokens) - gap  # of a stream whose tail is padded
    if PACKINGS[packing].is_stream and gap and not is_tail:
        return "spans leave a gap"
    if (tokens[_outside(start, end, len(tokens))] != eot_id).any():
        return "a removed document has left tokens" if n_removed else "a token of no document is not end-of-text"
    ends = ~spans["truncated_right"].to_numpy(zero_copy_only=False)
    return None if (tokens[end[ends] - 1] == eot_id).all() else "a document that ends here has no end-of-text token"


def _outside(start: np.ndarray, end: np.ndarray, n_tokens: int) -> np.ndarray:
    """Offsets of the tokens that are in no span, int64 [m]. start, end: of the spans, ascending and disjoint."""
    gap, until = np.append(0, end), np.append(start, n_tokens)
    sizes = until - gap
    return np.repeat(gap - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))


def _content_problem(storage: Storage, path: str, n_bytes: int, digest: str) -> str | None:
    size = storage.size(path)
    if size is None:
        return "is missing"
    if size != n_bytes:
        return f"has {size} bytes where its record says {n_bytes}"
    try:
        return _differs(digest_file(storage.path(path)), digest)
    except (CurateError, OSError) as error:
        return str(error)


def _differs(digest: str, recorded: object) -> str | None:
    return None if digest == recorded else f"digest {digest}, recorded {recorded}"
