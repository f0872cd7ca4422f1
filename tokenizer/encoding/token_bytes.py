"""The bytes of each id, in byte-level vocabularies: ids back to text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import pre_tokenizers

_BLOCK_IDS: Final = 1 << 18


def byte_alphabet() -> list[str]:
    """The 256 characters that byte-level BPE writes bytes as, in the order of the bytes (GPT-2, encoder.py)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    shifted = iter(range(256, 512))
    letters = [chr(b) if b in set(printable) else chr(next(shifted)) for b in range(256)]
    if sorted(letters) != sorted(pre_tokenizers.ByteLevel.alphabet()):
        raise RuntimeError("tokenizers has another byte alphabet than GPT-2's")
    return letters


class TokenBytes:
    """Bytes of every id, joined. vocab: ids by token in the byte alphabet; a name in `plain`, or one that is not in the
    alphabet, is its own text in UTF-8. An id without a token has no bytes."""

    def __init__(self, vocab: Mapping[str, int], plain: frozenset[str]) -> None:
        table = str.maketrans({letter: chr(byte) for byte, letter in enumerate(byte_alphabet())})
        entries = [b""] * (max(vocab.values()) + 1)
        for token, i in vocab.items():
            try:
                entries[i] = token.encode() if token in plain else token.translate(table).encode("latin-1")
            except UnicodeEncodeError:
                entries[i] = token.encode()
        self.lengths = np.array([len(entry) for entry in entries], np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._data = np.frombuffer(b"".join(entries), np.uint8)

    def join(self, ids: Any) -> bytes:
        """UTF-8 bytes of ids, one after another. Raises IndexError for an id beyond the vocabulary."""
        return self._gather(np.asarray(ids, np.int64)).tobytes()

    def texts(self, ids: Any, offsets: npt.NDArray[np.int64]) -> pa.Array:
        """large_binary [n] of ids[offsets[i]:offsets[i + 1]]."""
        numbers = np.asarray(ids, np.int64)
        ends = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(self.lengths[numbers], out=ends[1:])
        bounds = ends[np.asarray(offsets, np.int64)]
        data = self._gather(numbers)
        return pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, [
            None, pa.py_buffer(np.ascontiguousarray(bounds)), pa.py_buffer(data)])

    def _gather(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(self.lengths):
            raise IndexError(f"ids must be in 0 to {len(self.lengths) - 1}")
        blocks = []
        for first in range(0, len(numbers), _BLOCK_IDS):
            block = numbers[first : first + _BLOCK_IDS]
            lengths = self.lengths[block]
            ends = np.cumsum(lengths)
            offsets = np.arange(int(ends[-1])) + np.repeat(self._starts[block] - ends + lengths, lengths)
            blocks.append(self._data[offsets])
        return np.concatenate(blocks) if blocks else np.empty(0, np.uint8)
