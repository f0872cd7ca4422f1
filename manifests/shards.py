"""The files of one split of a packed dataset: which they are by the manifest, each opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from manifests.errors import ShardError
from manifests.local_files import DESCRIPTORS, MAPS, OpenFiles
from manifests.packed_folder import PackedFolder
from manifests.row_ranges import RowRanges
from manifests.rows import BYTES_PER_RUN, ReadRows, RowIndex, index_spans, open_rows
from manifests.shard import HEADER_BYTES, Header, ReadShard, Tokens, open_shard
from manifests.spans import BYTES_PER_SPAN, Spans, check_spans, read_spans
from manifests.storage import digest_file

VALIDATIONS: Final = ("open", "lazy", "never")
TOKENIZER: Final = "tokenizer.json"
"""Of a packed folder: the tokenizer that its shards were encoded with."""
_MAPPED_BYTES: Final = 1 << 30  # of a split above which it is read: maps would grow with every row, at a fault each
_CACHED_BYTES: Final = 1 << 28  # of spans, and of row indexes made from spans, that are kept in memory
_ADVICE: Final = "run `curate verify`, then fetch or pack the shard again"
Payload = Tokens | ReadShard


class SplitShards:
    """Payloads, row indexes and spans of a split's shards, by number.

    Each is checked when it is opened: its size, its header's crc32, and that it belongs to the payload of the manifest.
    What is fetched is compared with its digest, and with `validate` what was before, which is fetched again where it is
    damaged.

    Args:
        folder: Where the files are.
        shards: Rows of the manifest, in order.
        row_length: Tokens of a row.
        mapped: Whether files are mapped, of a split of up to 1 GiB; else they are read.
        validate: `lazy`: digests of a payload and a row index are checked when they are first opened; `open`: those of
            every shard, now; `never`: not.
        by_rows: Whether rows are fetched by themselves (`ranges`), where the folder is behind a URL.
    Raises:
        ShardError: By every method, where a file is not the one that the manifest describes.
    """

    def __init__(self, folder: PackedFolder, shards: Any, row_length: int, mapped: bool, validate: str,
                 by_rows: bool = False) -> None:
        if validate not in VALIDATIONS:
            raise ValueError(f"validate {validate!r} is none of {', '.join(VALIDATIONS)}")
        self._folder, self._row_length, self._validate = folder, row_length, validate
        names = shards.column_names
        self._payload_files = _files(shards, "path", "payload_xxh3", "n_bytes", HEADER_BYTES)
        self._rows_files = _files(shards, "rows_path", "rows_xxh3") if "rows_path" in names else []
        self._spans_files = _files(shards, "spans_path", "spans_xxh3")
        self.n_rows: npt.NDArray[np.int64] = shards["n_rows"].to_numpy()
        self._is_fetched = folder.cache is not None
        self._compared: set[str] = set()
        # What opens a file again that is read, and has been checked.
        self._payloads_before: dict[int, tuple[str, Header]] = {}
        self._rows_before: dict[int, tuple[str, int, int, str, int]] = {}
        sizes = [file.n_bytes or 0 for file in self._payload_files]
        self.mapped = mapped and sum(sizes) <= _MAPPED_BYTES
        self._pool = pool = MAPS if self.mapped else DESCRIPTORS
        if folder.cache is not None:
            folder.cache.hold_open(max(sizes, default=0), pool.most())
        self.payloads: OpenFiles[Payload] = OpenFiles(
            self._open_payload, folder.cache.pool if folder.cache is not None else pool,
            self._releasing(self._payload_files))
        self.rows: OpenFiles[RowIndex | ReadRows] = OpenFiles(self._open_rows, pool, self._releasing(self._rows_files))
        most_spans = int(shards["n_spans"].to_numpy().max(initial=1))
        self.spans = lru_cache(max(4, _CACHED_BYTES // (BYTES_PER_SPAN * most_spans)))(self._read_spans)
        self._indexed = lru_cache(max(4, _CACHED_BYTES // (4 * BYTES_PER_RUN * most_spans)))(self._index_spans)
        self.has_row_indexes = bool(self._rows_files)
        self.ranges = RowRanges(folder.where, [f.name for f in self._payload_files],
                                [f.digest for f in self._payload_files], folder.cache.retry_seconds) if (
            by_rows and folder.cache is not None) else None
        if validate == "open":
            for shard in range(len(self)):
                self.payloads[shard], self.index(shard)

    def __len__(self) -> int:
        return len(self._payload_files)

    def close(self) -> None:
        """Forget what is open; maps and descriptors go with the last array on them."""
        self.payloads.close()
        self.rows.close()
        self.spans.cache_clear()
        self._indexed.cache_clear()

    def index(self, shard: int) -> RowIndex | ReadRows:
        """The row index of a shard: its file, or one made of its spans where the manifest is of version 1."""
        return self.rows[shard] if self._rows_files else self._indexed(shard)

    def opened_rows(self, shard: int) -> RowIndex | ReadRows:
        """The same for one look at several rows. Where not all files may be open, payloads are: each of their rows is a
        read of its own, and row indexes are read in the order of the files."""
        if not self._rows_files or 2 * len(self) <= self._pool.most() or self._is_fetched:
            return self.index(shard)
        opened = self.rows.get(shard)
        return opened if opened is not None else self._open_rows(shard)

    def fetch(self, shard: int) -> None:
        """Bring a shard and its row index to the node's cache, unless another process does already; the index alone
        where rows are fetched by themselves."""
        for files in ([] if self.ranges else self._payload_files, self._rows_files):
            if files:
                file = files[shard]
                self._folder.file(file.name, file.digest, file.n_bytes, file.offset, wait=False)

    def _local(self, file: _File) -> str:
        """The local path of a file that is about to be opened, and stays there until it is closed."""
        if self._folder.cache is not None:
            self._folder.cache.use(self._folder.cached_name(file.name, file.digest))
        check = self._is_fetched and self._validate != "never" and file.name not in self._compared
        path = self._folder.file(file.name, file.digest, file.n_bytes, file.offset, check=check)
        assert path is not None
        if check:
            self._compared.add(file.name)
        return path

    def _release(self, file: _File) -> None:
        if self._folder.cache is not None:
            self._folder.cache.release(self._folder.cached_name(file.name, file.digest))

    def _releasing(self, files: list[_File]) -> Callable[[int], None] | None:
        """What tells the node's cache that a shard's file was closed."""
        return (lambda shard: self._release(files[shard])) if self._is_fetched else None

    def _open_payload(self, shard: int) -> Payload:
        """The payload of a shard, [N]."""
        before = self._payloads_before.get(shard)
        if before is not None:
            if self._is_fetched:
                self._local(self._payload_files[shard])
            return ReadShard(*before)
        file = self._payload_files[shard]
        path = self._local(file)
        read = None if self.mapped else ReadShard(path)
        header, payload = open_shard(path) if read is None else (read.header, read)
        if header.payload_digest.hex() != file.digest or header.row_length != self._row_length or (
                header.n_rows != self.n_rows[shard]):
            raise ShardError("is another shard than the manifest describes", where=path, hint=_ADVICE)
        self._compare(path, file)
        if read is not None:
            self._payloads_before[shard] = path, header
        return payload

    def _open_rows(self, shard: int) -> RowIndex | ReadRows:
        before = self._rows_before.get(shard)
        if before is not None:
            if self._is_fetched:
                self._local(self._rows_files[shard])
            return ReadRows(*before)
        file = self._rows_files[shard]
        path = self._local(file)
        facts = path, int(self.n_rows[shard]), self._row_length, self._payload_files[shard].digest
        if self.mapped:
            index = open_rows(*facts)
            self._compare(path, file)
            return index
        read = ReadRows(*facts)
        self._compare(path, file)
        self._rows_before[shard] = *facts, read.n_runs
        return read

    def _compare(self, path: str, file: _File) -> None:
        """Compare a file with its digest where that is asked for, once in this process; `_local` does fetched ones."""
        if self._validate == "never" or self._is_fetched or path in self._compared:
            return
        if digest_file(path, file.offset) != file.digest:
            raise ShardError(f"its bytes are not those of the digest {file.digest}", where=path, hint=_ADVICE)
        self._compared.add(path)

    def _read_spans(self, shard: int) -> Spans:
        file = self._spans_files[shard]
        path = self._local(file)
        try:
            spans = read_spans(path, file.digest)
            check_spans(spans, int(self.n_rows[shard]), self._row_length, path)
            return spans
        finally:
            self._release(file)

    def _index_spans(self, shard: int) -> RowIndex:
        return index_spans(self._read_spans(shard), int(self.n_rows[shard]), self._row_length)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a packed folder. digest: xxh3-128 of its bytes from `offset` on. n_bytes: None where none is known."""

    name: str
    digest: str
    n_bytes: int | None
    offset: int


def _files(shards: Any, path: str, digest: str, size: str = "", offset: int = 0) -> list[_File]:
    """One file of every shard, by columns of the manifest."""
    names, digests = shards[path].to_pylist(), shards[digest].to_pylist()
    sizes = shards[size].to_pylist() if size in shards.column_names else [None] * len(names)
    return [_File(n, d, s, offset) for n, d, s in zip(names, digests, sizes, strict=True)]


def dataset_digest(manifest: pa.Table) -> str:
    """One hash of a dataset's content: xxh3-128 over (split, shard_index, payload_xxh3, spans_xxh3) in manifest order.

    A training checkpoint pins it, and a loader refuses to go on with another dataset.

    Args:
        manifest: `packed/manifest.parquet`, or those four columns of it, in the file's order.
    Returns:
        32 hex digits.
    """
    columns = [manifest[c].to_pylist() for c in ("split", "shard_index", "payload_xxh3", "spans_xxh3")]
    lines = (f"{split}\t{index}\t{payload}\t{spans}\n" for split, index, payload, spans in zip(*columns, strict=True))
    return xxhash.xxh3_128_hexdigest("".join(lines).encode())
