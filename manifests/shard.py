"""The packed shard: a 1,024-byte header, then N little-endian tokens, and nothing after.

The first three int32 are llm.c's, so llm.c and modded-nanogpt read the file as it is; they ignore the bytes in which
our own block lies. All fields are little-endian and at fixed offsets:

    0     int32      20240520 (uint16 tokens) or 20240801 (uint32)      llm.c's magic
    4     int32      1 or 7                                             llm.c's version
    8     int32      N, tokens of the payload
    16    8 bytes    "CURATE\\0S"                                        our magic
    24    uint32     format version, 1
    28    uint32     bytes of a token, 2 or 4
    32    uint64     N
    40    uint32     row length T in tokens; N is a multiple of it
    44    uint32     packing: 0 concat, 1 best_fit, 2 pad
    48    uint32     end-of-text id
    52    uint32     vocabulary size; every id is below it
    56    uint32     index of the shard in its split
    64    uint64     spans, rows of the spans file
    72    32 bytes   sha256 of tokenizer.json
    104   16 bytes   xxh3-128 of the payload's bytes
    1020  uint32     crc32 of bytes 0 to 1019

All other bytes are zero.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from manifests.confined import check_regular
from manifests.errors import ShardError
from manifests.local_files import ReadFile, map_file
from manifests.packing import PACKINGS
from manifests.storage import open_read

HEADER_BYTES = 1024
FORMAT_VERSION = 1  # of a shard's header
MANIFEST_VERSION = 2  # of packed/manifest.parquet
MAX_SHARD_TOKENS = 1 << 28  # 1 GiB of uint32: llm.c seeks with a signed 32-bit int
_MAGIC = b"CURATE\0S"
_BLOCK = struct.Struct("<iii4x8sIIQIIIII4xQ32s16s")
_CRC = struct.Struct("<I")
_CRC_OFFSET = 1020
_LLM_C = {2: (20240520, 1), 4: (20240801, 7)}

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """Little-endian uint16 where every id fits, else uint32."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Header:
    """What a shard says about itself. n_tokens and payload_digest are filled in by `write_shard`."""

    row_length: int
    packing: str
    eot_id: int
    vocab_size: int
    tokenizer_sha256: bytes
    shard_index: int
    n_spans: int
    n_tokens: int = 0
    payload_digest: bytes = bytes(16)

    @property
    def dtype(self) -> np.dtype[Any]:
        return token_dtype(self.vocab_size)

    @property
    def n_rows(self) -> int:
        return self.n_tokens // self.row_length

    @property
    def n_bytes(self) -> int:
        """Bytes of the file, header included."""
        return HEADER_BYTES + self.n_tokens * self.dtype.itemsize

    def pack(self) -> bytes:
        """The 1,024 bytes of the header."""
        self._check("header")
        size = self.dtype.itemsize
        block = _BLOCK.pack(*_LLM_C[size], self.n_tokens, _MAGIC, FORMAT_VERSION, size, self.n_tokens, self.row_length,
                            PACKINGS[self.packing].code, self.eot_id, self.vocab_size, self.shard_index, self.n_spans,
                            self.tokenizer_sha256, self.payload_digest)
        data = block.ljust(_CRC_OFFSET, b"\0")
        return data + _CRC.pack(zlib.crc32(data))

    @staticmethod
    def unpack(data: bytes, where: str = "header") -> Header:
        """The header in these bytes; ShardError says which check failed."""
        if len(data) < HEADER_BYTES:
            raise ShardError(f"is shorter than a header: {len(data)} of {HEADER_BYTES} bytes", where=where)
        fields = _BLOCK.unpack_from(data)
        if fields[3] != _MAGIC:
            raise ShardError(f"is not a packed shard: magic {fields[3]!r} instead of {_MAGIC!r}", where=where,
                             hint="plain llm.c files lack this project's fields; pack the corpus again")
        (crc,) = _CRC.unpack_from(data, _CRC_OFFSET)
        if crc != zlib.crc32(data[:_CRC_OFFSET]):
            raise ShardError("header checksum does not match", where=where, hint="fetch or pack the shard again")
        if fields[4] != FORMAT_VERSION:
            raise ShardError(f"has format version {fields[4]}; this reader knows {FORMAT_VERSION}", where=where)
        if fields[8] >= len(PACKINGS):
            raise ShardError(f"unknown packing {fields[8]}", where=where)
        packing = list(PACKINGS)[fields[8]]
        header = Header(row_length=fields[7], packing=packing, eot_id=fields[9], vocab_size=fields[10],
                        shard_index=fields[11], n_spans=fields[12], tokenizer_sha256=fields[13],
                        n_tokens=fields[6], payload_digest=fields[14])
        header._check(where)
        size = header.dtype.itemsize
        if (*fields[:3], fields[5]) != (*_LLM_C[size], header.n_tokens, size):
            raise ShardError("llm.c's fields and this project's disagree", where=where)
        return header

    def _check(self, where: str) -> None:
        if self.row_length < 1 or self.n_tokens % self.row_length:
            raise ShardError(f"{self.n_tokens} tokens do not fill rows of {self.row_length}", where=where)
        if not 0 < self.n_tokens <= MAX_SHARD_TOKENS:
            raise ShardError(f"{self.n_tokens} tokens; a shard holds 1 to {MAX_SHARD_TOKENS}", where=where)
        if self.packing not in PACKINGS:
            raise ShardError(f"unknown packing {self.packing!r}", where=where)
        if not 0 <= self.eot_id < self.vocab_size:
            raise ShardError(f"end-of-text id {self.eot_id} is outside the vocabulary of {self.vocab_size}",
                             where=where)


def write_shard(path: str, tokens: npt.NDArray[Any] | Iterable[npt.NDArray[Any]], header: Header) -> Header:
    """Write a shard from one array of ids or from blocks of them.

    Blocks are streamed, so memory is that of one block. Ids are checked: a silent wrap to 16 bits has corrupted
    corpora before.

    Args:
        path: A local file, which is overwritten.
        tokens: Integer arrays [n].
        header: What the shard says of itself; n_tokens and payload_digest are ignored.
    Returns:
        The header as written, with n_tokens and the payload's digest.
    Raises:
        ShardError: An id is outside the vocabulary, or the tokens do not fill rows.
    """
    blocks = (tokens,) if isinstance(tokens, np.ndarray) else tokens
    digest = xxhash.xxh3_128()
    n_tokens = 0
    with open(path, "wb") as file:
        file.write(bytes(HEADER_BYTES))
        for block in blocks:
            if len(block) and (int(block.max()) >= header.vocab_size or int(block.min()) < 0):
                worst = int(block.max()) if int(block.max()) >= header.vocab_size else int(block.min())
                raise ShardError(f"token id {worst} is outside the vocabulary of {header.vocab_size}", where=path,
                                 hint="encode with the tokenizer that the shard names")
            data = _bytes_of(np.asarray(block, header.dtype))
            digest.update(data)
            file.write(data)
            n_tokens += len(block)
        done = replace(header, n_tokens=n_tokens, payload_digest=digest.digest())
        file.seek(0)
        file.write(done.pack())
    return done


def read_header(path: str) -> Header:
    """A shard's header.

    Args:
        path: A local file.
    Raises:
        ShardError: It cannot be read, is not a packed shard, or its size or header crc32 is wrong.
        InputError: It is a pipe or a device.
    """
    check_regular(path)
    try:
        with open(path, "rb") as file:
            header = Header.unpack(file.read(HEADER_BYTES), path)
        n_bytes = os.path.getsize(path)
    except OSError as error:
        raise ShardError(f"cannot be read: {error.strerror}", where=path) from error
    _check_size(path, n_bytes, header)
    return header


def open_shard(path: str) -> tuple[Header, Tokens]:
    """A shard's header and its payload, mapped; no file descriptor stays open.

    Size and header crc32 are checked; `payload_digest` checks the payload itself.

    Args:
        path: A local file.
    Returns:
        The header, and a read-only view of the tokens, uint16 or uint32 [N].
    Raises:
        ShardError: As `read_header`.
    """
    header = read_header(path)
    tokens: Tokens = map_file(path)[HEADER_BYTES:].view(header.dtype)
    return header, tokens


class ReadShard(ReadFile):
    """As `open_shard`, but tokens are read where they are asked for, and a descriptor stays open while it is held.

    Args:
        path: A local file.
        header: The file's own, where it has been read and checked before.
    """

    __slots__ = ("header",)

    def __init__(self, path: str, header: Header | None = None) -> None:
        super().__init__(path)
        self.header = header if header is not None else self._checked()

    def __getitem__(self, part: slice) -> Tokens:
        """Tokens of a part of the payload."""
        header = self.header
        start, stop, _ = part.indices(header.n_tokens)
        size = header.dtype.itemsize
        tokens: Tokens = np.frombuffer(self.read(HEADER_BYTES + start * size, (stop - start) * size), header.dtype)
        return tokens

    def _checked(self) -> Header:
        n_bytes = self.check()
        header = Header.unpack(self.head(HEADER_BYTES), self.path)
        _check_size(self.path, n_bytes, header)
        return header


def _check_size(path: str, n_bytes: int, header: Header) -> None:
    if n_bytes != header.n_bytes:
        raise ShardError(f"is {n_bytes} bytes, but its header says {header.n_bytes}", where=path,
                         hint="the copy was cut short or something was appended")


def read_row(path: str, row: int) -> tuple[Header, Tokens]:
    """A shard's header and the tokens of one row of it, uint16 or uint32 [T], without reading the rest.

    Args:
        path: A local file, or a URL.
        row: From 0.
    Raises:
        ShardError: It is not a packed shard.
        InputError: It cannot be read.
        IndexError: It has no such row.
    """
    with open_read(path) as file:
        header = Header.unpack(file.read(HEADER_BYTES), path)
        if not 0 <= row < header.n_rows:
            raise IndexError(f"row {row} of {header.n_rows}")
        n_bytes = header.row_length * header.dtype.itemsize
        file.seek(HEADER_BYTES + row * n_bytes)
        data = file.read(n_bytes)
    if len(data) != n_bytes:
        raise ShardError("is shorter than its header says", where=path, hint="fetch or pack the shard again")
    return header, np.frombuffer(data, header.dtype)


def payload_digest(tokens: Tokens) -> bytes:
    """xxh3-128 of a payload's bytes: what the header must say."""
    return xxhash.xxh3_128_digest(_bytes_of(tokens))


def _bytes_of(tokens: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(tokens).view(np.uint8).data
