"""The row index beside a shard, against a plain reading of spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import PackedDataset, ShardError
from manifests.rows import ReadRows, index_spans, join_runs, learns_first, open_rows, write_rows
from manifests.schema import CHAT_SPANS, SPANS
from manifests.spans import spans_of
from manifests.verify import verify
from tests.unit.manifests.test_dataset import T, make_dataset, span

DIGEST = bytes(range(16))


def plain(spans: list[dict[str, Any]], n_rows: int, learned: list[bool]) -> list[list[tuple[int, int, bool, bool]]]:
    """(first token in the row, source, begins a segment, learned) of every run, token by token."""
    owner: list[int | None] = [None] * (n_rows * T)
    for i, one in enumerate(spans):
        owner[one["token_start"] : one["token_start"] + one["n_tokens"]] = [i] * one["n_tokens"]
    rows: list[list[tuple[int, int, bool, bool]]] = []
    for row in range(n_rows):
        runs: list[tuple[int, int, bool, bool]] = []
        for i in range(T):
            token = row * T + i
            number = owner[token]
            begins = not i or number != owner[token - 1]
            if begins or learned[token] != learned[token - 1]:
                source = -1 if number is None else spans[number]["source_id"]
                runs.append((i, source, begins, learned[token]))
        rows.append(runs)
    return rows


def read(table: pa.Table, n_rows: int) -> list[list[tuple[int, int, bool, bool]]]:
    index = index_spans(spans_of(table), n_rows, T)
    found = []
    for row in range(n_rows):
        runs = join_runs(index.of(row), np.array([len(index.of(row))]), T)
        found.append(list(zip(runs.start.tolist(), runs.source.tolist(), runs.begins.tolist(), runs.learned.tolist(),
                              strict=True)))
    assert index.most_segments == max(sum(r[2] for r in runs) for runs in found)
    return found


def spread(sizes: list[tuple[int, int]], n_rows: int) -> list[dict[str, Any]]:
    """Spans of (gap before, tokens), cut at the ends of rows as packing does."""
    spans: list[dict[str, Any]] = []
    at = 1
    for number, (gap, n) in enumerate(sizes):
        at += gap
        while n and at < n_rows * T:
            here = min(n, T - at % T)
            spans.append(span(at, here, source_id=number % 3))
            at, n = at + here, n - here
    return spans


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2 * T)), max_size=8), st.integers(1, 4))
def test_runs_of_documents(sizes: list[tuple[int, int]], n_rows: int) -> None:
    spans = spread(sizes, n_rows)
    learned = [any(s["token_start"] <= t < s["token_start"] + s["n_tokens"] for s in spans) for t in range(n_rows * T)]
    assert read(pa.Table.from_pylist(spans, SPANS), n_rows) == plain(spans, n_rows, learned)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1,
                                                      max_size=3)), max_size=5))
def test_runs_of_dialogues(dialogues: list[tuple[int, list[tuple[int, bool]]]]) -> None:
    """Turns of a dialogue share its segment; answers alone are learned."""
    n_rows, at = 3, 1
    spans, learned = [], [False] * (n_rows * T)
    for gap, turns in dialogues:
        n = sum(k for k, _ in turns)
        at += gap
        if at % T + n > T:
            at += T - at % T
        if at + n > n_rows * T:
            break
        listed, start = [], 0
        for k, loss in turns:
            listed.append({"start": start, "n_tokens": k, "role": "user", "loss": loss})
            learned[at + start : at + start + k] = [loss] * k
            start += k
        spans.append(span(at, n) | {"group_id": None, "rank": None, "turns": listed})
        at += n
    found = read(pa.Table.from_pylist(spans, CHAT_SPANS), n_rows)
    for have, want in zip(found, plain(spans, n_rows, learned), strict=True):
        # Where two learned turns follow one another, the file may cut a run that need not be cut.
        joined = [r for i, r in enumerate(have) if r[2] or r[3] != have[i - 1][3]]
        assert joined == want


@pytest.mark.parametrize("open_index", [open_rows, ReadRows])
def test_a_file_gives_back_what_was_written(tmp_path: Path, open_index: Any) -> None:
    table = pa.Table.from_pylist([span(1, 4), span(5, 3), span(10, 6, source_id=2)], SPANS)
    path = str(tmp_path / "000000.rows")
    written = write_rows(path, table, 3, T, DIGEST)
    opened = open_index(path, 3, T, DIGEST.hex())
    for row in range(3):
        assert opened.of(row).tolist() == written.of(row).tolist()
    assert written.most_segments == 3
    assert [learns_first(opened, r) for r in range(3)] == [False, False, False]
    size, again = Path(path).read_bytes(), str(tmp_path / "again.rows")
    write_rows(again, table, 3, T, DIGEST)
    assert Path(again).read_bytes() == size


@pytest.mark.parametrize("open_index", [open_rows, ReadRows])
def test_other_files_are_refused(tmp_path: Path, open_index: Any) -> None:
    path = tmp_path / "000000.rows"
    write_rows(str(path), pa.Table.from_pylist([span(1, 7)], SPANS), 2, T, DIGEST)
    whole = path.read_bytes()
    for n_rows, row_length, digest, said in ((3, T, DIGEST.hex(), "is of 2 rows"), (2, T + 1, DIGEST.hex(), "is of 2"),
                                             (2, T, "00" * 16, "another payload")):
        with pytest.raises(ShardError, match=said):
            open_index(str(path), n_rows, row_length, digest)
    for data, said in ((whole[:-1], "its header says"), (whole + b"\0", "its header says"), (b"x" * 99, "not a row"),
                       (whole[:20] + b"\1" + whole[21:], "checksum"), (b"", "not a row")):
        path.write_bytes(data)
        with pytest.raises(ShardError, match=said):
            open_index(str(path), 2, T, DIGEST.hex())
    path.unlink()
    with pytest.raises(ShardError, match="cannot be read"):
        open_index(str(path), 2, T, DIGEST.hex())


@pytest.mark.parametrize("first", [[0, 0, 4], [0, 9, 4], [0, 1, 2**32 - 1]])
def test_rows_without_runs_are_found_when_they_are_read(tmp_path: Path, first: list[int]) -> None:
    path = tmp_path / "000000.rows"
    index = write_rows(str(path), pa.Table.from_pylist([span(1, 7)], SPANS), 2, T, DIGEST)
    data = bytearray(path.read_bytes())
    assert index.first.tolist() == np.frombuffer(data, "<u4", 3, 64).tolist()
    data[64:76] = np.array(first, "<u4").tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(ShardError, match="rows without runs"):
        open_rows(str(path), 2, T, DIGEST.hex())
    with pytest.raises(ShardError, match="no runs for row"):
        [ReadRows(str(path), 2, T, DIGEST.hex()).of(row) for row in (0, 1)]


def test_verify_reads_the_index(tmp_path: Path) -> None:
    """An index of other spans, though its digest is the manifest's, is found."""
    spans = [span(0, 4), span(4, 4)]
    packed = make_dataset(tmp_path / "a", [1], packing="best_fit", spans=spans) / "packed"
    problems = {f.check: f.problem for f in verify(str(packed))}
    assert problems["says what the spans say"] is None
    assert problems["digest"] == "is missing"  # tokenizer.json
    path = packed / "train/000000.rows"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    problems = {f.check: f.problem for f in verify(str(packed)) if f.path.endswith(".rows")}
    assert problems["content"] is not None
    assert problems["says what the spans say"] is not None


def test_a_batch_reads_no_spans(tmp_path: Path) -> None:
    """With an index, spans files are not touched until the ids of documents are asked for."""
    root = make_dataset(tmp_path, [2], packing="pad", spans=[span(1, 3), span(8, 8)])
    (root / "packed/train/000000.spans.parquet").unlink()
    data = PackedDataset(root, "train")
    assert data.segments(np.array([1, 0])).cu_seqlens.tolist() == [0, 8, 9, 12, 16]
    assert data.targets(0).tolist() == [1, 2, 3, -100, -100, -100, -100, -100]
    with pytest.raises(ShardError, match="is missing"):
        data.documents(0)
