"""ARPA language models, read without any library: compiled once a machine, then mapped by every process."""

from __future__ import annotations

import gzip
import mmap
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.caches import cached_arrays
from curate.perplexity.kernels.arpa import MAX_ORDER, fill_grams, find_word, read_grams, read_words, score_texts
from curate.text.strings import read_only, string_buffers
from manifests.errors import InputError
from manifests.storage import digest_file, open_read

GZIP_MAGIC: Final = b"\x1f\x8b"
_FORMAT: Final = 2  # of the compiled files; raise it when they change
_COUNT: Final = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)\s*")
_UNKNOWN_MISSING: Final = -100.0  # KenLM's log10 probability of unknown words for a model without <unk>
_ARRAYS: Final = ("vocabulary", "words", "grams")
_FACTS: Final = ("order", "start", "end", "closed")
_MAX_HEADER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ArpaModel:
    """An n-gram model as tables. vocabulary, grams: uint64 [a power of two, 2]; words: uint32 [n + 1, 2], bits of
    float32. start, end: numbers of `<s>` and `</s>`. closed: whether the model has every
    n-gram's last words as n-grams too."""

    vocabulary: npt.NDArray[np.uint64]
    words: npt.NDArray[np.uint32]
    grams: npt.NDArray[np.uint64]
    order: int
    start: int
    end: int
    closed: bool

    def score(self, texts: Any, by_line: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(sum of log10 probabilities float64 [n], words and sentence ends int64 [n]) of texts, string [n].

        by_line: each line that holds a word is a sentence; else each text is one. Words are parted by ASCII white
        space."""
        data, offsets = string_buffers(texts)
        n = len(offsets) - 1
        sums, counts = np.zeros(n), np.zeros(n, np.int64)
        score_texts(read_only(data), read_only(offsets), by_line, read_only(self.vocabulary), read_only(self.words),
                    read_only(self.grams), self.order, self.closed, self.start, self.end, sums, counts)
        return sums, counts


@lru_cache(maxsize=8)
def load_arpa(path: str) -> ArpaModel:
    """The model in a local .arpa or .arpa.gz file, through the cache; raises InputError naming a line that is wrong."""
    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        model = read_arpa(path)
        return ({name: getattr(model, name) for name in _ARRAYS}, {name: getattr(model, name) for name in _FACTS})

    (vocabulary, words, grams), facts = cached_arrays(f"language-models/{digest_file(path)}-{_FORMAT}", _ARRAYS, build)
    return ArpaModel(vocabulary, words, grams, **facts)


def read_arpa(path: str) -> ArpaModel:
    """The model in a file, read now. Memory: the file where it is compressed, and 24 to 48 bytes an n-gram."""
    data = _bytes_of(path)
    counts, offset = _header(data, path)
    order, closed = len(counts), True
    vocabulary = np.zeros((_room(counts[0]), 2), np.uint64)
    values = np.zeros((counts[0] + 1, 2), np.float32)
    values[0, 0] = _UNKNOWN_MISSING
    offset = _section(data, offset, 1, path)
    offset = _checked(read_words(data, offset, counts[0], vocabulary, values), data, path)
    grams = np.zeros((_room(sum(counts[1:])), 2), np.uint64)
    for n, count in enumerate(counts[1:], 2):
        keys, weights = np.zeros(count, np.uint64), np.zeros((count, 2), np.float32)
        offset = _section(data, offset, n, path)
        offset, complete = read_grams(data, offset, count, n, vocabulary, grams, keys, weights)
        offset, closed = _checked(offset, data, path), closed and complete
        if not fill_grams(keys, weights.view(np.uint32), grams):
            raise InputError(f"lists a {n}-gram twice", where=path)
    if not bytes(data[offset : offset + _MAX_HEADER]).lstrip().startswith(b"\\end\\"):
        raise InputError(f"goes on where its {order}-grams should end", where=f"{path}:{_line_of(data, offset)}",
                         hint=r"the counts under \data\ are not those of its sections")
    start, end = (find_word(np.frombuffer(word, np.uint8), vocabulary) for word in (b"<s>", b"</s>"))
    if min(start, end) < 0:
        raise InputError("has no <s> or no </s>", where=path, hint="estimate it with sentence boundaries")
    return ArpaModel(vocabulary, values.view(np.uint32), grams, order, start, end, closed)


def _bytes_of(path: str) -> npt.NDArray[np.uint8]:
    with open_read(path) as stream:
        if stream.read(2) == GZIP_MAGIC:
            stream.seek(0)
            try:
                return np.frombuffer(gzip.decompress(stream.read()), np.uint8)
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"is damaged: {error}", where=path, hint="fetch it again") from error
        try:
            return np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {error}", where=path) from error


def _header(data: npt.NDArray[np.uint8], path: str) -> tuple[list[int], int]:
    r"""(n-grams of each order, where the sections begin) from `\data\`."""
    head = bytes(data[:_MAX_HEADER])
    offset, counts = head.find(b"\\data\\"), list[int]()
    if offset < 0:
        raise InputError(r"is no ARPA model: it has no \data\ section", where=path)
    offset = head.find(b"\n", offset) + 1
    while offset:
        stop = head.find(b"\n", offset)
        line = head[offset : stop if stop >= 0 else len(head)]
        match = _COUNT.fullmatch(line.strip())
        if match and int(match[1]) == len(counts) + 1:
            counts.append(int(match[2]))
        elif line.strip():
            break
        offset = stop + 1
    if not counts or len(counts) > MAX_ORDER or max(counts) > len(data):
        raise InputError(rf"has no counts of 1- to {MAX_ORDER}-grams under \data\ that can be", where=path)
    return counts, offset


def _section(data: npt.NDArray[np.uint8], offset: int, order: int, path: str) -> int:
    """Where the entries of an order begin."""
    title = rb"\%d-grams:" % order
    head = bytes(data[offset : offset + _MAX_HEADER])
    blank = len(head) - len(head.lstrip())
    if not head[blank:].startswith(title):
        raise InputError(f"does not begin its {order}-grams where the counts say", hint="the file is damaged",
                         where=f"{path}:{_line_of(data, offset + blank)}")
    stop = head.find(b"\n", blank)
    return offset + (stop + 1 if stop >= 0 else len(head))


def _checked(offset: int, data: npt.NDArray[np.uint8], path: str) -> int:
    if offset < 0:
        raise InputError("is no entry of an n-gram model (log10 probability, known words, perhaps a back-off weight), "
                         "or is there twice", where=f"{path}:{_line_of(data, -1 - offset)}")
    return offset


def _line_of(data: npt.NDArray[np.uint8], offset: int) -> int:
    return int((data[:offset] == 0x0A).sum()) + 1


def _room(n: int) -> int:
    """Slots of a table that n entries fill to two thirds at most."""
    return 1 << max(4, (n + n // 2).bit_length())

