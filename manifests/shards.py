"""The files of one split of a packed dataset: which they are by the manifest, each opened when it is first needed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from manifests.errors import ShardError
from manifests.local_files import DESCRIPTORS, MAPS, OpenFiles, ReadArray, ReadFile
from manifests.rows import BYTES_PER_RUN, RowIndex, index_spans, open_rows
from manifests.shard import HEADER_BYTES, Tokens, open_shard, read_header
from manifests.spans import BYTES_PER_SPAN, Spans, read_spans
from manifests.storage import digest_file
from manifests.tables import open_table

COLUMNS: Final = ("split", "shard_index", "path", "n_rows", "row_length", "packing", "payload_xxh3", "spans_path",
                  "spans_xxh3", "first_row", "dtype", "n_spans", "tokenizer_sha256", "vocab_size", "eot_id")
LATER_COLUMNS: Final = ("phase", "padding_tokens", "n_bytes", "rows_path", "rows_xxh3",
                        "most_segments")  # not in every manifest
VALIDATIONS: Final = ("open", "lazy", "never")
TOKENIZER: Final = "tokenizer.json"
"""Of a packed folder: the tokenizer that its shards were encoded with."""
_CACHED_BYTES: Final = 1 << 28  # of spans, and of row indexes made from spans, that are kept in memory
_ADVICE: Final = "run `curate verify`, then fetch or pack the shard again"
Payload = Tokens | ReadArray


def read_manifest(path: str) -> pa.Table:
    """The columns of packed/manifest.parquet that a reader needs, those of them that it has."""
    with open_table(path) as file:
        columns = [*COLUMNS, *(n for n in file.schema_arrow.names if n in LATER_COLUMNS)]
        return file.read(columns=columns, use_threads=False)


class SplitShards:
    """Payloads, row indexes and spans of a split's shards, by number.

    Each is checked when it is opened: its size, its header's crc32, and that it belongs to the payload of the manifest.

    Args:
        folder: The packed folder.
        shards: Rows of the manifest, in order.
        row_length: Tokens of a row.
        mapped: Whether files are mapped or read.
        validate: `lazy`: digests of a payload and a row index are checked when they are first opened; `open`: those of
            every shard, now; `never`: not.
    Raises:
        ShardError: By every method, where a file is not the one that the manifest describes.
    """

    def __init__(self, folder: str, shards: Any, row_length: int, mapped: bool, validate: str) -> None:
        if validate not in VALIDATIONS:
            raise ValueError(f"validate {validate!r} is none of {', '.join(VALIDATIONS)}")
        names = shards.column_names
        self._folder, self._row_length, self._mapped, self._validate = folder, row_length, mapped, validate
        self._paths: list[str] = shards["path"].to_pylist()
        self._digests: list[str] = shards["payload_xxh3"].to_pylist()
        self._spans_paths: list[str] = shards["spans_path"].to_pylist()
        self._spans_digests: list[str] = shards["spans_xxh3"].to_pylist()
        self._rows_paths: list[str | None] = shards["rows_path"].to_pylist() if "rows_path" in names else []
        self._rows_digests: list[str] = shards["rows_xxh3"].to_pylist() if "rows_xxh3" in names else []
        self.n_rows: npt.NDArray[np.int64] = shards["n_rows"].to_numpy()
        self._checked: set[str] = set()
        pool = MAPS if mapped else DESCRIPTORS
        self.payloads: OpenFiles[Payload] = OpenFiles(self._open_payload, pool)
        self.rows: OpenFiles[RowIndex] = OpenFiles(self._open_rows, pool)
        largest = int(shards["n_spans"].to_numpy().max(initial=1))
        self.spans = lru_cache(max(4, _CACHED_BYTES // (BYTES_PER_SPAN * largest)))(self._read_spans)
        self._indexed = lru_cache(max(4, _CACHED_BYTES // (4 * BYTES_PER_RUN * largest)))(self._index_spans)
        if validate == "open":
            for shard in range(len(self._paths)):
                self._open_payload(shard)
                self._open_rows(shard)

    def __len__(self) -> int:
        return len(self._paths)

    def close(self) -> None:
        """Forget what is open; maps and descriptors go with the last array on them."""
        self.payloads.clear()
        self.rows.clear()
        self.spans.cache_clear()
        self._indexed.cache_clear()

    def index(self, shard: int) -> RowIndex:
        """The row index of a shard: its file, or one made of its spans where the manifest is of version 1."""
        return self.rows[shard] if self._rows_paths and self._rows_paths[shard] else self._indexed(shard)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _open_payload(self, shard: int) -> Payload:
        """The payload of a shard, [rows, T]."""
        path = self._path(self._paths[shard])
        payload: Payload
        if self._mapped:
            header, tokens = open_shard(path)
            payload = tokens.reshape(-1, header.row_length)
        else:
            header = read_header(path)
            payload = ReadFile(path).array(HEADER_BYTES, header.dtype, (header.n_rows, header.row_length))
        if header.payload_digest.hex() != self._digests[shard] or header.row_length != self._row_length:
            raise ShardError("is another shard than the manifest describes", where=path, hint=_ADVICE)
        if self._validate != "never":
            self._check(path, self._digests[shard], HEADER_BYTES)
        return payload

    def _open_rows(self, shard: int) -> RowIndex:
        name = self._rows_paths[shard] if self._rows_paths else None
        if name is None:
            return self._indexed(shard)
        path = self._path(name)
        index = open_rows(path, int(self.n_rows[shard]), self._row_length, self._digests[shard], self._mapped)
        if self._validate != "never":
            self._check(path, self._rows_digests[shard])
        return index

    def _check(self, path: str, digest: str, offset: int = 0) -> None:
        """Compare a file's digest from a byte on, once in this process."""
        if path in self._checked:
            return
        if digest_file(path, offset) != digest:
            raise ShardError(f"its bytes are not those of the digest {digest}", where=path, hint=_ADVICE)
        self._checked.add(path)

    def _read_spans(self, shard: int) -> Spans:
        return read_spans(self._path(self._spans_paths[shard]), self._spans_digests[shard])

    def _index_spans(self, shard: int) -> RowIndex:
        return index_spans(self._read_spans(shard), int(self.n_rows[shard]), self._row_length)


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
