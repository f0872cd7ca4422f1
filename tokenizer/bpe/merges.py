"""Training byte pair encoding on distinct words and their counts: the merges that `tokenizers`' BpeTrainer learns.

Until enough merges are made, the pair of neighbouring tokens that occurs most often becomes a token; of equals the one
with the lowest left id, then right id. Words lie one after another in an array of cells, one a byte. The first cell of
a token holds its id, the last one of a longer token minus its length, so both neighbours of a token are found in one
step. A list for each pair says where it occurred; positions that have changed since are seen by their cells. A
pair's count only ever falls after it is first made, since every position of a token is made in one step: so a heap of
counts that are corrected when they come to the top is exact, and pairs rarer than the smallest allowed need no list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.tables import string_buffers

BYTES: Final = 256
_MOST_CELLS: Final = 2**31 - 1
_FIRST_PAIRS: Final = 1 << 17

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Training:
    """What was learned. merges: int32 [m, 2], the ids that became id 256 + i. n_tokens: of all words, merged."""

    merges: Int32
    n_tokens: int


class _Text(NamedTuple):
    """Distinct words, one after another."""

    cells: Int32  # [n bytes], see above
    word_of: Int32  # [n bytes]: the word each cell is of
    counts: Int64  # [n words]
    lengths: Int32  # [vocabulary]: bytes of each token


class _Pairs(NamedTuple):
    """Every pair that is, or was, frequent enough, in the order of making; grown by doubling."""

    keys: npt.NDArray[np.uint64]  # left id << 32 | right id
    counts: Int64
    first: Int64  # where in `positions` its list begins
    size: Int32  # how long it is
    slots: Int32  # hash table over keys: pair + 1, twice as long at least
    heap: Int32  # pairs, the best first
    heap_counts: Int64  # what their counts were when they were last put in order


class _State(NamedTuple):
    """How far training is: how many there are of each."""

    n_merges: int
    n_pairs: int
    n_heap: int
    n_positions: int


class _Side(NamedTuple):
    """Changes of one step to pairs with the neighbour on one side, by the neighbour's id."""

    lost: Int64  # [vocabulary]: of the old pair
    won: Int64  # [vocabulary]: of the pair with the new token
    n: Int32  # [vocabulary]: positions listed below
    seen: Int32  # [vocabulary]: neighbours in the order they were met
    who: Int32  # [positions]
    position: Int32  # [positions]


def train(words: pa.Array, counts: Int64, alphabet: Int32, n_merges: int, min_frequency: int) -> Training:
    """Merges of the most frequent pairs, the best first; fewer than `n_merges` where pairs run out.

    Memory: some 12 bytes for each byte of the words, and 50 for each pair.

    Args:
        words: large_binary [n] without nulls, distinct.
        counts: int64 [n], above 0.
        alphabet: int32 [256], the id of each byte.
        n_merges: Most merges.
        min_frequency: Least count of a pair that is merged.
    Raises:
        StageError: The words have more than 2^31 - 1 bytes.
    """
    text = _text(words, counts, alphabet, BYTES + n_merges)
    left, right = (_side(BYTES + n_merges, len(text.cells)) for _ in range(2))
    least = max(1, min_frequency)
    pairs, n_pairs, positions, n_positions = _first_pairs(text, least)
    _heapify(pairs.keys, pairs.heap, pairs.heap_counts, n_pairs)
    merges = np.empty((n_merges, 2), np.int32)
    state = _State(0, n_pairs, n_pairs, n_positions)
    while True:
        state, needed = _run(text, pairs, positions, left, right, merges, state, least)
        if not needed:
            break
        pairs = _grown(pairs, state.n_pairs, state.n_pairs + needed)
    return Training(merges[: state.n_merges], int(_n_tokens(text.cells, text.word_of, text.counts)))


def _text(words: pa.Array, counts: Int64, alphabet: Int32, vocab_size: int) -> _Text:
    data, offsets = string_buffers(words)
    n_bytes = int(offsets[-1] - offsets[0]) if len(words) else 0
    if n_bytes > _MOST_CELLS:
        raise StageError(f"the distinct pre-tokens have {n_bytes} bytes, more than {_MOST_CELLS}", where="tokenizer",
                         hint="raise tokenizer.min_word_count, or train on a smaller sample")
    data = data[offsets[0] : offsets[-1]] if n_bytes else np.empty(0, np.uint8)
    lengths = np.ones(vocab_size, np.int32)
    word_of = np.repeat(np.arange(len(words), dtype=np.int32), np.diff(offsets)) if n_bytes else np.empty(0, np.int32)
    return _Text(alphabet[data], word_of, np.ascontiguousarray(counts, np.int64), lengths)


def _side(vocab_size: int, n_positions: int) -> _Side:
    # The lists of positions are as long as a step can need; the system gives memory to what is touched alone.
    return _Side(np.zeros(vocab_size, np.int64), np.zeros(vocab_size, np.int64), np.zeros(vocab_size, np.int32),
                 np.zeros(vocab_size, np.int32), np.empty(n_positions, np.int32), np.empty(n_positions, np.int32))


def _first_pairs(text: _Text, least: int) -> tuple[_Pairs, int, Int32, int]:
    """Pairs of bytes, in the order of their keys, and the positions of each in the text's order."""
    totals, sizes = np.zeros((BYTES, BYTES), np.int64), np.zeros((BYTES, BYTES), np.int64)
    _count_bytes(text, totals, sizes)
    a, b = np.nonzero(totals >= least)
    n = len(a)
    pairs = _empty_pairs(max(_FIRST_PAIRS, n))
    pairs.keys[:n] = a.astype(np.uint64) << np.uint64(32) | b.astype(np.uint64)
    pairs.counts[:n] = pairs.heap_counts[:n] = totals[a, b]
    pairs.size[:n] = sizes[a, b]
    pairs.first[:n] = np.cumsum(sizes[a, b]) - sizes[a, b]
    pairs.heap[:n] = np.arange(n)
    _index(pairs.keys, n, pairs.slots)
    n_positions = int(sizes[a, b].sum())
    # A merge at a position makes two pairs at most, and there are fewer merges than cells.
    positions = np.empty(n_positions + 2 * len(text.cells), np.int32)
    starts = np.full((BYTES, BYTES), -1, np.int64)
    starts[a, b] = pairs.first[:n]
    _list_bytes(text, starts, positions)
    return pairs, n, positions, n_positions


def _empty_pairs(capacity: int) -> _Pairs:
    slots = 1 << (2 * capacity - 1).bit_length()
    return _Pairs(np.empty(capacity, np.uint64), np.empty(capacity, np.int64), np.empty(capacity, np.int64),
                  np.empty(capacity, np.int32), np.zeros(slots, np.int32), np.empty(capacity, np.int32),
                  np.empty(capacity, np.int64))


def _grown(pairs: _Pairs, n_pairs: int, needed: int) -> _Pairs:
    larger = _empty_pairs(max(needed, 2 * len(pairs.keys)))
    for name in ("keys", "counts", "first", "size", "heap", "heap_counts"):
        getattr(larger, name)[: len(pairs.keys)] = getattr(pairs, name)
    _index(larger.keys, n_pairs, larger.slots)
    return larger


@nb.njit(nogil=True, cache=True)
def _count_bytes(text, totals, sizes):  # type: ignore[no-untyped-def]
    for i in range(len(text.cells) - 1):
        if text.word_of[i] == text.word_of[i + 1]:
            totals[text.cells[i], text.cells[i + 1]] += text.counts[text.word_of[i]]
            sizes[text.cells[i], text.cells[i + 1]] += 1


@nb.njit(nogil=True, cache=True)
def _list_bytes(text, starts, positions):  # type: ignore[no-untyped-def]
    for i in range(len(text.cells) - 1):
        a, b = text.cells[i], text.cells[i + 1]
        if text.word_of[i] == text.word_of[i + 1] and starts[a, b] >= 0:
            positions[starts[a, b]] = i
            starts[a, b] += 1


@nb.njit(nogil=True, cache=True)
def _run(text, pairs, positions, left, right, merges, state, least):  # type: ignore[no-untyped-def]
    """Merge until all merges are made or pairs run out; returns the state, and how much room for pairs is missing."""
    n_merges, n_pairs, n_heap, n_positions = state
    while n_merges < len(merges):
        n_rest = _pop(pairs, n_heap, least)
        if n_rest < 0:
            break
        pair, new = pairs.heap[n_rest], BYTES + n_merges
        first, size = pairs.first[pair], pairs.size[pair]
        needed = 2 * min(new + 1, size)
        if n_pairs + needed > len(pairs.keys):
            _push(pairs.keys, pairs.heap, pairs.heap_counts, n_rest, pair, pairs.counts[pair])
            return _State(n_merges, n_pairs, n_rest + 1, n_positions), needed
        a, b = np.int64(pairs.keys[pair] >> np.uint64(32)), np.int64(pairs.keys[pair] & np.uint64(0xFFFFFFFF))
        merges[n_merges] = a, b
        n_merges += 1
        text.lengths[new] = text.lengths[a] + text.lengths[b]
        seen = _merge(text, positions[first : first + size], a, b, new, left, right)
        n_pairs, n_heap, n_positions = _settle(pairs, n_pairs, n_rest, positions, n_positions, left, right, seen, a, b,
                                               new, least)
    return _State(n_merges, n_pairs, n_heap, n_positions), 0


@nb.njit(nogil=True, cache=True)
def _merge(text, positions, a, b, new, left, right):  # type: ignore[no-untyped-def]
    """Join a and b where still neighbours, from left to right; returns (neighbours, positions) of each side."""
    cells, word_of, last = text.cells, text.word_of, len(text.cells)
    la, lb = text.lengths[a], text.lengths[b]
    n_left, left_positions, n_right, right_positions = 0, 0, 0, 0
    for p in positions:
        m, e = p + la, p + la + lb
        if cells[p] != a or m >= last or word_of[m] != word_of[p] or cells[m] != b:
            continue
        count = text.counts[word_of[p]]
        cells[m] = -1  # no token begins here any more
        cells[e - 1] = -(la + lb)
        cells[p] = new
        if p > 0 and word_of[p - 1] == word_of[p]:
            q = p - 1 if cells[p - 1] >= 0 else p + cells[p - 1]
            who = cells[q]
            n_left += _meet(left, n_left, left_positions, who, q, count)
            left_positions += 1
            if who == new:  # made just before: its right neighbour was a, and is the new token now
                right.won[a] -= count
            else:
                left.lost[who] += count
        if e < last and word_of[e] == word_of[p]:
            n_right += _meet(right, n_right, right_positions, cells[e], p, count)
            right_positions += 1
            right.lost[cells[e]] += count
    return n_left, left_positions, n_right, right_positions


@nb.njit(nogil=True, cache=True)
def _meet(side, n_seen, n_positions, who, position, count):  # type: ignore[no-untyped-def]
    """Note a neighbour; returns 1 where it is the first of its id in this step."""
    side.who[n_positions] = who
    side.position[n_positions] = position
    side.won[who] += count
    side.n[who] += 1
    if side.n[who] > 1:
        return 0
    side.seen[n_seen] = who
    return 1


@nb.njit(nogil=True, cache=True)
def _settle(pairs, n_pairs, n_heap, positions, n_positions, left, right, seen, a, b, new, least):  # type: ignore[no-untyped-def]
    """Take a step's changes over into the pairs; returns how many pairs, heap entries and positions there are now."""
    for is_left in (True, False):
        side, n_seen, n_listed = (left, seen[0], seen[1]) if is_left else (right, seen[2], seen[3])
        for i in range(n_seen):
            who = side.seen[i]
            old = _find(pairs, _key(who, a) if is_left else _key(b, who))
            if old >= 0:
                pairs.counts[old] -= side.lost[who]
            if side.won[who] >= least:
                key = _key(who, new) if is_left else _key(new, who)
                _insert(pairs, n_pairs, key, side.won[who], n_positions)
                _push(pairs.keys, pairs.heap, pairs.heap_counts, n_heap, n_pairs, side.won[who])
                n_positions += side.n[who]
                side.won[who] = n_pairs  # from here on: which pair it became
                n_pairs += 1
                n_heap += 1
            else:
                side.won[who] = -1
        for i in range(n_listed):
            pair = side.won[side.who[i]]
            if pair >= 0:
                positions[pairs.first[pair] + pairs.size[pair]] = side.position[i]
                pairs.size[pair] += 1
        for i in range(n_seen):
            who = side.seen[i]
            side.lost[who], side.won[who], side.n[who] = 0, 0, 0
    return n_pairs, n_heap, n_positions


@nb.njit(nogil=True, cache=True)
def _key(a, b):  # type: ignore[no-untyped-def]
    return (np.uint64(a) << np.uint64(32)) | np.uint64(b)


@nb.njit(nogil=True, cache=True)
def _slot(key, mask):  # type: ignore[no-untyped-def]
    x = key * np.uint64(0x9E3779B97F4A7C15)
    return (x ^ (x >> np.uint64(32))) & mask


@nb.njit(nogil=True, cache=True)
def _find(pairs, key):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(pairs.slots) - 1)
    slot = _slot(key, mask)
    while pairs.slots[slot]:
        if pairs.keys[pairs.slots[slot] - 1] == key:
            return pairs.slots[slot] - 1
        slot = (slot + np.uint64(1)) & mask
    return -1


@nb.njit(nogil=True, cache=True)
def _insert(pairs, pair, key, count, first):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(pairs.slots) - 1)
    slot = _slot(key, mask)
    while pairs.slots[slot]:
        slot = (slot + np.uint64(1)) & mask
    pairs.slots[slot] = pair + 1
    pairs.keys[pair], pairs.counts[pair], pairs.first[pair], pairs.size[pair] = key, count, first, 0


@nb.njit(nogil=True, cache=True)
def _index(keys, n, slots):  # type: ignore[no-untyped-def]
    """Fill an empty hash table with the first n keys."""
    mask = np.uint64(len(slots) - 1)
    for i in range(n):
        slot = _slot(keys[i], mask)
        while slots[slot]:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = i + 1


@nb.njit(nogil=True, cache=True)
def _pop(pairs, n, least):  # type: ignore[no-untyped-def]
    """Move the best pair behind the heap; returns how many entries are left, or -1 where no pair is frequent enough."""
    heap, counts = pairs.heap, pairs.heap_counts
    while n > 0:
        true = pairs.counts[heap[0]]
        if counts[0] == true and true >= least:
            best = heap[0]
            n -= 1
            heap[0], counts[0] = heap[n], counts[n]
            _sink(pairs.keys, heap, counts, 0, n)
            heap[n] = best
            return n
        if true >= least:
            counts[0] = true
        else:
            n -= 1
            heap[0], counts[0] = heap[n], counts[n]
        _sink(pairs.keys, heap, counts, 0, n)
    return -1


@nb.njit(nogil=True, cache=True)
def _push(keys, heap, counts, n, pair, count):  # type: ignore[no-untyped-def]
    i = n
    while i > 0:
        up = (i - 1) >> 1
        if count < counts[up] or (count == counts[up] and keys[pair] > keys[heap[up]]):
            break
        heap[i], counts[i] = heap[up], counts[up]
        i = up
    heap[i], counts[i] = pair, count


@nb.njit(nogil=True, cache=True)
def _sink(keys, heap, counts, i, n):  # type: ignore[no-untyped-def]
    """Let entry i of a heap of n sink to where it belongs."""
    if i >= n:
        return
    pair, count = heap[i], counts[i]
    while 2 * i + 1 < n:
        c = 2 * i + 1
        if c + 1 < n and (counts[c + 1] > counts[c] or
                          (counts[c + 1] == counts[c] and keys[heap[c + 1]] < keys[heap[c]])):
            c += 1
        if count > counts[c] or (count == counts[c] and keys[pair] < keys[heap[c]]):
            break
        heap[i], counts[i] = heap[c], counts[c]
        i = c
    heap[i], counts[i] = pair, count


@nb.njit(nogil=True, cache=True)
def _heapify(keys, heap, counts, n):  # type: ignore[no-untyped-def]
    for i in range(n // 2 - 1, -1, -1):
        _sink(keys, heap, counts, i, n)


@nb.njit(nogil=True, cache=True)
def _n_tokens(cells, word_of, counts):  # type: ignore[no-untyped-def]
    total = 0
    for i in range(len(cells)):
        if cells[i] >= 0:
            total += counts[word_of[i]]
    return total
