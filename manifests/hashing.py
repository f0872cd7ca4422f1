"""Identity and chance, both as hashes: document ids, and uniform numbers that need no generator.

Every random decision of a run is a function of (seed, purpose, doc_id), so it does not depend on the order, the
number of workers or a retry.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from manifests.tables import one_array

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def document_id(source: str, path: str, position: int | str) -> bytes:
    """16 bytes that name one document: xxh3-128 of the source, the file relative to the source's root, and the
    record's offset or row in it. Unique by construction, as WARC-Record-IDs are not."""
    return xxhash.xxh3_128_digest(f"{source}\0{path}\0{position}".encode())


def piece_id(parent: bytes, piece: int) -> bytes:
    """Id of one fragment, by its number from 0, of a document that decontamination split."""
    return xxhash.xxh3_128_digest(parent + piece.to_bytes(4, "little"))


def id_words(ids: pa.Array | pa.ChunkedArray) -> UInt64:
    """fixed_size_binary(16) ids as uint64 [n, 2], little-endian words; a copy only where the array is chunked."""
    array = one_array(ids)
    data = np.frombuffer(array.buffers()[1] or b"", np.uint64)
    return data.reshape(-1, 2)[array.offset : array.offset + len(array)]


def ids_array(words: UInt64) -> pa.FixedSizeBinaryArray:
    """The inverse of `id_words`: uint64 [n, 2] to fixed_size_binary(16)."""
    words = np.ascontiguousarray(words, np.uint64)
    return pa.Array.from_buffers(pa.binary(16), len(words), [None, pa.py_buffer(words)])


def _mix(x: UInt64) -> UInt64:
    """splitmix64's finaliser (Steele, Lea and Flood 2014), elementwise."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def keyed_hash(seed: int, purpose: str, words: UInt64) -> UInt64:
    """uint64 [n] from uint64 [n, 2] document ids: independent for each (seed, purpose)."""
    key = np.uint64(xxhash.xxh3_64_intdigest(f"{seed}\0{purpose}".encode()))
    with np.errstate(over="ignore"):
        low = _mix(words[:, 0] ^ key)
        return _mix(low + (words[:, 1] ^ key) * _GOLDEN)


def uniform(seed: int, purpose: str, words: UInt64) -> npt.NDArray[np.float64]:
    """float64 [n] in [0, 1), 53 bits, from uint64 [n, 2] document ids."""
    return (keyed_hash(seed, purpose, words) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def text_hash64(seed: int, purpose: str, text: str) -> int:
    """uint64 of a string such as a host name, keyed like `keyed_hash`."""
    return xxhash.xxh3_64_intdigest(f"{seed}\0{purpose}\0{text}".encode())
