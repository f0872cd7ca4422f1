"""Length buckets: how documents are divided, that batches hold what the documents say, and long documents."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import DatasetMismatchError, InputError, PackedDataset, RecipeError, ShardError
from manifests.hashing import document_id
from manifests.length_loader import LengthLoader
from manifests.lengths import build_lengths, decompose
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

SIZES = [3, 8, 15, 16, 17, 31, 40, 63, 64, 100, 129] * 6
DOCUMENTS = {document_id("a", "p", i): [(13 * i + k) % 256 for k in range(n)] for i, n in enumerate(SIZES)}


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(1, 6), st.integers(0, 4))
def test_decomposition(sizes: list[int], low: int, more: int) -> None:
    """Runs cover a document from its beginning, without gap, longest first; less than the smallest is left."""
    smallest, largest = 1 << low, 1 << (low + more)
    document, first, size = decompose(np.array(sizes, np.int64), smallest, largest)
    for number, n_tokens in enumerate(sizes):
        own = document == number
        starts, lengths = first[own].tolist(), size[own].tolist()
        assert starts == (np.cumsum(lengths) - lengths).astype(int).tolist()
        assert lengths == sorted(lengths, reverse=True)
        assert 0 <= n_tokens - sum(lengths) < smallest
        assert all(smallest <= n <= largest and n & (n - 1) == 0 for n in lengths)
        assert len(lengths) == n_tokens // largest + bin(n_tokens % largest // smallest).count("1")


@pytest.fixture(scope="module", params=["concat", "best_fit"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = SmallRun(tmp_path_factory.mktemp("run"), seed=4)
    made.write_tokens({"a": {"p": list(DOCUMENTS.items())}})
    made.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0.1),
              PackConfig(row_length=32, shard_tokens=32 * 30, buckets=4, packing=request.param),
              byte_tokenizer(made.root / "t.json", 257))
    build_lengths(made.root, 8, 32)
    return made.root


def test_an_epoch_holds_every_run_once(run: Path) -> None:
    """Sequences are runs of documents, targets what follows in them; all of a length come before one comes again."""
    facts = json.loads((run / "packed/lengths/lengths.json").read_text())["splits"]["train"]
    n_cut = 0
    texts = ["".join(map(chr, [*ids, EOT])) for ids in DOCUMENTS.values()]
    for length in (8, 16, 32):
        loader = LengthLoader(run, "train", 32, {length: 1})
        n, per_step = facts["sequences"][str(length)], 32 // length
        numbers: list[int] = []
        for batch in itertools.islice(loader, n // per_step):
            assert batch.tokens.shape == (per_step, length)
            numbers += batch.sequences.tolist()
            for tokens, targets in zip(batch.tokens, batch.targets, strict=True):
                text = "".join(map(chr, tokens.tolist()))
                assert any(text in whole for whole in texts)
                assert targets[:-1].tolist() == tokens[1:].tolist()
                following = int(targets[-1])
                if following >= 0:
                    assert any(text + chr(following) in whole for whole in texts)
                else:  # best_fit cuts a document at a row's end, concat at a shard's
                    n_cut += int(tokens[-1]) != EOT
        assert len(set(numbers)) == len(numbers) == n // per_step * per_step
    if PackedDataset(run, "train").packing == "concat":
        assert n_cut <= len(list((run / "packed/train").glob("*.bin")))
    total = sum(int(n) * k for n, k in facts["sequences"].items()) + facts["left_out_tokens"]
    data = PackedDataset(run, "train")
    spans = sum(int((data.segments(np.array([i])).source_ids >= 0)
                    @ np.diff(data.segments(np.array([i])).cu_seqlens)) for i in range(len(data)))
    assert total == spans


def drawn(loader: LengthLoader, steps: int) -> list[tuple[int, list[int]]]:
    return [(batch.tokens.shape[1], batch.sequences.tolist()) for batch in itertools.islice(loader, steps)]


def test_steps_follow_the_schedule_and_states_resume(run: Path) -> None:
    schedule: dict[int, Any] = {0: {8: 1}, 6: {8: 1, 16: 1, 32: 2}}
    whole = LengthLoader(run, "train", 64, schedule)
    steps = drawn(whole, 26)
    assert [n for n, _ in steps[:6]] == [8] * 6
    assert [[n for n, _ in steps[6:]].count(length) for length in (8, 16, 32)] == [5, 5, 10]
    taken = LengthLoader(run, "train", 64, schedule)
    drawn(taken, 9)
    state = json.loads(json.dumps(taken.state_dict()))
    ranks = [LengthLoader(run, "train", 32, schedule, rank, 2) for rank in range(2)]
    for rank in ranks:
        rank.load_state_dict(state)
    for length, sequences in steps[9:]:
        (a,), (b,) = (drawn(rank, 1) for rank in ranks)
        assert (a[0], a[1] + b[1]) == (length, sequences)
    with pytest.raises(DatasetMismatchError, match="made with seed 0, here it is 1"):
        LengthLoader(run, "train", 64, seed=1).load_state_dict(state)
    with pytest.raises(DatasetMismatchError, match="lacks"):
        LengthLoader(run, "train", 64).load_state_dict(state | {"steps": {}})


def test_without_a_schedule_lengths_have_what_tokens_they_hold(run: Path) -> None:
    loader = LengthLoader(run, "train", 32)
    facts = json.loads((run / "packed/lengths/lengths.json").read_text())["splits"]["train"]["sequences"]
    steps = [n for n, _ in drawn(loader, 60)]
    tokens = {int(n): int(n) * k for n, k in facts.items()}
    for length, n_tokens in tokens.items():
        assert abs(steps.count(length) - 60 * n_tokens / sum(tokens.values())) < 1


def test_what_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="powers of two"):
        build_lengths(run, 8, 48)
    with pytest.raises(RecipeError, match="no multiple of the longest length, 32"):
        LengthLoader(run, "train", 48)
    with pytest.raises(RecipeError, match="there are 8, 16, 32"):
        LengthLoader(run, "train", 64, {64: 1})
    path = run / "packed/lengths/train-8.u64"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ShardError, match="not the file that was written"):
        LengthLoader(run, "train", 64)
    path.write_bytes(data)
    described = run / "packed/lengths/lengths.json"
    text = described.read_text()
    described.write_text(text.replace('"dataset": "', '"dataset": "0'))
    with pytest.raises(InputError, match="is of another dataset"):
        LengthLoader(run, "train", 64)
    described.write_text(text)


def test_the_same_bytes_again(run: Path) -> None:
    def content() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (run / "packed/lengths").iterdir()}

    first = content()
    build_lengths(run, 8, 32)
    assert content() == first
    assert [p.name for p in (run / "packed").iterdir() if p.name.startswith(".")] == []


def test_a_document_of_a_million_tokens_stays_whole(tmp_path: Path) -> None:
    made = SmallRun(tmp_path, seed=4)
    long = (np.arange(1_000_000) % 251).tolist()
    made.write_tokens({"a": {"p": [(document_id("a", "p", 0), long), (document_id("a", "p", 1), [1, 2, 3])]}})
    pack = PackConfig(row_length=1 << 20, shard_tokens=1 << 20, buckets=2, packing="best_fit")
    made.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0), pack,
              byte_tokenizer(tmp_path / "t.json", 257))
    data = PackedDataset(tmp_path, "train")
    found = data.documents(0)
    start = found.doc_ids.index(document_id("a", "p", 0))
    a, b = found.cu_seqlens[start : start + 2]
    assert b - a == 1_000_001
    assert np.array_equal(data[0][a : b - 1], long)
    assert data[0][b - 1] == EOT
