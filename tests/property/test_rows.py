"""Best-fit packing against the paper's algorithm spelled out over lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.packing.packers import row_packer
from tokenizer.packing.rows import begin_shards

ANY = 1 << 40  # rows of a shard: the first row alone needs a free place


def naive_best_fit(lengths: list[int], capacity: int) -> list[list[tuple[int, int, int]]]:
    """Rows as lists of (instance, offset, tokens): longest fragment first, into the fullest row that has room; of equal
    rows, into the one filled last. Rows stand where their first fragment's document stands."""
    fragments = [(i, at, min(n - at, capacity)) for i, n in enumerate(lengths) for at in range(0, n, capacity)]
    rows: list[list[tuple[int, int, int]]] = []
    filled: list[int] = []  # when each row was last added to
    for step, fragment in enumerate(sorted(fragments, key=lambda f: -f[2])):
        room = [capacity - sum(f[2] for f in row) for row in rows]
        fits = [r for r in range(len(rows)) if room[r] >= fragment[2]]
        if fits:
            chosen = min(fits, key=lambda r: (room[r], -filled[r]))
            rows[chosen].append(fragment)
            filled[chosen] = step
        else:
            rows.append([fragment])
            filled.append(step)
    return sorted(rows, key=lambda row: row[0][:2])


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), max_size=60), capacity=st.integers(2, 24))
def test_best_fit_equals_the_naive_packer(lengths: list[int], capacity: int) -> None:
    rows = row_packer("best_fit").fill_rows(np.array(lengths, np.int64), capacity, ANY)
    found: list[list[tuple[int, int, int]]] = [[] for _ in range(rows.n_rows)]
    used = [0] * rows.n_rows
    columns = (rows.instance, rows.offset, rows.n_tokens, rows.row, rows.start)
    for instance, offset, n, row, place in zip(*(c.tolist() for c in columns), strict=True):
        assert place == used[row]
        used[row] += n
        found[row].append((instance, offset, n))
    naive = naive_best_fit(lengths, capacity)
    if not naive or any(sum(f[2] for f in row) < capacity for row in naive):
        assert found == naive
    else:  # no place for the token that begins the shard, so one is kept free
        assert min(used) < capacity
    assert max(used, default=0) <= capacity


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 4000), min_size=1, max_size=300), capacity=st.sampled_from([64, 100, 2048]),
       packing=st.sampled_from(["best_fit", "pad"]))
def test_nothing_is_discarded_and_only_long_documents_are_cut(lengths: list[int], capacity: int, packing: str) -> None:
    rows = row_packer(packing).fill_rows(np.array(lengths, np.int64), capacity, ANY)
    assert np.bincount(rows.instance, rows.n_tokens).tolist() == lengths
    pieces = np.bincount(rows.instance)
    if any(n % capacity for n in lengths) and (packing == "pad" or pieces.sum() > 1):
        assert pieces.tolist() == [-(-n // capacity) for n in lengths]
    assert sorted(set(rows.row.tolist())) == list(range(rows.n_rows))
    if packing == "pad":
        assert rows.n_rows == len(rows.row) == pieces.sum()
    else:
        # No two rows could be one: best fit would have joined them, unless no row were left that is not full.
        used = np.sort(np.bincount(rows.row, rows.n_tokens))
        joined = used[0] + used[1] if len(used) > 1 else capacity + 1
        assert joined > capacity or (joined == capacity and (used[2:] == capacity).all())


@settings(max_examples=300, deadline=None)
@given(lengths=st.lists(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 24, 64, 200]), min_size=1, max_size=60),
       capacity=st.sampled_from([2, 4, 8]), packing=st.sampled_from(["best_fit", "pad"]),
       shard_rows=st.integers(1, 9), first_row=st.integers(0, 30))
def test_every_shard_begins_with_a_free_place(lengths: list[int], capacity: int, packing: str, shard_rows: int,
                                              first_row: int) -> None:
    """Whatever the documents, and wherever shards begin, no token is lost and each first row has place for one more."""
    sizes = np.array(lengths, np.int64)
    filled = row_packer(packing).fill_rows(sizes, capacity, shard_rows)
    rows = begin_shards(filled, capacity, first_row, shard_rows)
    assert rows.n_rows == filled.n_rows
    taken: dict[int, set[int]] = {row: set() for row in range(rows.n_rows)}
    pieces: dict[int, list[tuple[int, int]]] = {i: [] for i in range(len(lengths))}
    columns = (rows.instance, rows.offset, rows.n_tokens, rows.row, rows.start)
    for instance, offset, n, row, place in zip(*(c.tolist() for c in columns), strict=True):
        places = set(range(place, place + n))
        assert not places & taken[row]
        assert n > 0
        taken[row] |= places
        pieces[instance].append((offset, n))
    for row, places in taken.items():
        begins = (first_row + row) % shard_rows == 0
        assert places == set(range(begins, begins + len(places)))
        assert places
        assert max(places) < capacity
    for instance, length in enumerate(lengths):
        place = 0
        for offset, n in sorted(pieces[instance]):
            assert offset == place
            place += n
        assert place == length
    order = np.lexsort((rows.start, rows.row))
    assert (order == np.arange(len(order))).all()


def test_no_document_is_cut_where_places_can_be_kept_free() -> None:
    """Rows filled exactly by short documents: one gives way, none is cut."""
    rows = row_packer("best_fit").fill_rows(np.array([4] * 12, np.int64), 8, 3)
    assert rows.n_tokens.tolist() == [4] * 12
    assert (np.bincount(rows.row, rows.n_tokens) < 8).sum() >= -(-rows.n_rows // 3)
    cut = row_packer("best_fit").fill_rows(np.array([8, 8, 16], np.int64), 8, 2)
    assert np.bincount(cut.instance).tolist() == [2, 2, 2]  # a token of each of the first two goes to another row
    assert cut.n_rows == 5


def test_a_document_far_longer_than_a_shard() -> None:
    for packing in ("best_fit", "pad"):
        rows = begin_shards(row_packer(packing).fill_rows(np.array([100_000], np.int64), 8, 4), 8, 0, 4)
        assert rows.n_tokens.sum() == 100_000
        assert rows.start[np.flatnonzero(rows.row % 4 == 0)].min() == 1
        assert 4 * 100_000 / 31 <= rows.n_rows <= 100_000 / 7 + 1  # 31 places in four rows; all rows a token shorter
