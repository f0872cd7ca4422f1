"""best_fit, pad and staged mixtures: whole small runs read back, token by token."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from manifests import PackedDataset
from manifests.shard import open_shard
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.verify import verify_packed
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mix import read_plan
from tokenizer.mixture.mixture_config import MixtureConfig, PhaseConfig
from tokenizer.packing.config import PackConfig

SIZES = {"crawl": {"p0": [30, 0, 55, 2, 17] * 6, "p1": [8, 9, 100]}, "books": {"p0": [400, 350, 15, 16, 31]}}
T = 16
STAGED = MixtureConfig(validation_fraction=0.15, max_epochs=3, phases=(
    PhaseConfig(name="main", weights={"crawl": 3, "books": 1}, share=70),
    PhaseConfig(name="middle", weights={"crawl": 1, "books": 1}, share=20),
    PhaseConfig(name="anneal", weights={"books": 1}, share=10)))


def make(root: Path, mixture: MixtureConfig, packing: str, sizes: dict[str, dict[str, list[int]]] = SIZES) -> SmallRun:
    root.mkdir(exist_ok=True)
    run = SmallRun(root, seed=5)
    run.write_tokens(corpus(sizes))
    pack = PackConfig(row_length=T, shard_tokens=8 * T, buckets=4, packing=packing)
    run.pack(mixture, pack, byte_tokenizer(root / "tokenizer.json"))
    return run


def covered(root: Path) -> dict[str, Counter[tuple[bytes, int, int]]]:
    """How often (document, epoch, token place) lies in each split; tokens are checked against the corpus."""
    texts = {d: [*ids, EOT] for parts in corpus(SIZES).values() for docs in parts.values() for d, ids in docs}
    found: dict[str, Counter[tuple[bytes, int, int]]] = {"train": Counter(), "val": Counter()}
    for shard in read_table(str(root / "packed/manifest.parquet")).to_pylist():
        payload = open_shard(str(root / "packed" / shard["path"]))[1]
        free = np.ones(len(payload), bool)
        for span in read_table(str(root / "packed" / shard["spans_path"])).to_pylist():
            start, n, first = span["token_start"], span["n_tokens"], span["doc_token_offset"]
            text = texts[span["doc_id"]]
            assert payload[start : start + n].tolist() == text[first : first + n]
            assert start // T == (start + n - 1) // T == span["row"]
            assert span["truncated_left"] == (first > 0)
            assert span["truncated_right"] == (first + n < len(text))
            assert free[start : start + n].all()
            free[start : start + n] = False
            found[shard["split"]].update((span["doc_id"], span["epoch"], first + k) for k in range(n))
        assert (payload[free] == EOT).all()
        assert free[0]
        assert free.sum() == shard["padding_tokens"] + 1
    return found


@pytest.mark.parametrize("packing", ["best_fit", "pad"])
def test_rows_of_whole_documents(tmp_path: Path, packing: str) -> None:
    """Every selected token is in one row, once; only documents longer than a row are cut; nothing is dropped."""
    run = make(tmp_path, MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.15), packing)
    found = covered(tmp_path)
    plan = read_plan(run.output("mix/plan", "plan"))
    assert found["train"].total() == plan.total_tokens
    assert set(found["train"].values()) == set(found["val"].values()) == {1}
    assert found["val"].total() == sum(s.val_tokens for s in plan.sources)
    rows = read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist()
    assert all(r["dropped_tokens"] == 0 for r in rows)
    assert {r["packing"] for r in rows} == {packing}
    tokens = sum(r["n_tokens"] for r in rows)
    assert sum(r["utilisation"] * r["n_tokens"] for r in rows) == pytest.approx(
        tokens - len(rows) - sum(r["padding_tokens"] for r in rows))
    if packing == "pad":
        for shard in rows:
            spans = read_table(str(tmp_path / "packed" / shard["spans_path"]))
            assert spans["row"].to_pylist() == list(range(shard["n_rows"]))
            assert (spans["token_start"].to_numpy() % T == np.eye(1, shard["n_rows"], dtype=int)[0]).all()
    else:
        assert tokens - sum(r["padding_tokens"] for r in rows) > 0.9 * tokens
    assert not [f for f in verify_packed(Storage(str(tmp_path))) if f.problem]


def by_prefix(tokens: list[int]) -> list[list[int]]:
    """Documents as a reader finds them for whom an end-of-text token begins each (llm.c, modded-nanogpt)."""
    starts = [i for i, token in enumerate(tokens) if token == EOT]
    return [tokens[a + 1 : b] for a, b in zip(starts, [*starts[1:], len(tokens)], strict=True) if b > a + 1]


def by_suffix(tokens: list[int]) -> list[list[int]]:
    """Documents as a reader finds them for whom an end-of-text token ends each (Megatron, nanoGPT)."""
    ends = [i for i, token in enumerate(tokens) if token == EOT]
    bounds = [-1, *ends, len(tokens)]
    return [tokens[a + 1 : b] for a, b in pairwise(bounds) if b > a + 1]


@pytest.mark.parametrize("packing", ["concat", "best_fit", "pad"])
def test_readers_that_look_for_end_of_text(tmp_path: Path, packing: str) -> None:
    """Either kind finds the documents that the spans tell of, but for empty ones, where none is cut within a shard.

    In best_fit and pad a reader looks at a row at a time, since padding ends no document that fills its row."""
    sizes = {"crawl": {"p0": [3, 0, 9, 2, 7] * 8, "p1": [8, 9, 14]}, "books": {"p0": [5, 3, 15, 6, 1, 11]}}
    make(tmp_path, MixtureConfig(epochs={"crawl": 1, "books": 1}, validation_fraction=0), packing, sizes)
    texts = {d: [*ids, EOT] for parts in corpus(sizes).values() for docs in parts.values() for d, ids in docs}
    seen = []
    for shard in read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist():
        header, payload = open_shard(str(tmp_path / "packed" / shard["path"]))
        assert payload[0] == EOT
        spans = read_table(str(tmp_path / "packed" / shard["spans_path"])).to_pylist()
        length = header.n_tokens if packing == "concat" else T
        for start in range(0, header.n_tokens, length):
            mine = [s for s in spans if start <= s["token_start"] < start + length]
            wanted: list[list[int]] = []
            for span in mine:
                first, n = span["doc_token_offset"], span["n_tokens"]
                piece = [t for t in texts[span["doc_id"]][first : first + n] if t != EOT]
                if first and wanted and span["token_start"] % T == 0:  # it goes on from the row before
                    wanted[-1] += piece
                else:
                    wanted.append(piece)
            tokens = payload[start : start + length].tolist()
            prefixed = tokens if tokens[0] == EOT else [EOT, *tokens]
            assert by_prefix(prefixed) == by_suffix(tokens) == [w for w in wanted if w]
            seen += [s["doc_id"] for s in mine]
    assert packing == "concat" or sorted(seen) == sorted(texts)


@pytest.mark.parametrize("packing", ["concat", "best_fit", "pad"])
def test_the_first_token_of_a_shard_is_of_no_document(tmp_path: Path, packing: str) -> None:
    """It is a segment of its own; its target is the first token of the first document, in every mode."""
    make(tmp_path, MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.15), packing)
    data = PackedDataset(tmp_path, "train")
    manifest = read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist()
    firsts = [r["first_row"] for r in manifest if r["split"] == "train"]
    assert len(firsts) > 3
    for row in range(len(data)):
        documents = data.documents(row)
        if row in firsts:
            assert (int(data[row][0]), documents.doc_ids[0], documents.cu_seqlens[1]) == (EOT, None, 1)
            assert documents.position_ids[:2].tolist() == [0, 0]
            assert data.targets(row)[0] == data[row][1]
            assert data.segments(np.array([row])).source_ids[0] == -1
        else:
            assert documents.doc_ids[0] is not None


@pytest.mark.parametrize("packing", ["best_fit", "pad"])
def test_rows_that_are_all_full_make_room(tmp_path: Path, packing: str) -> None:
    """Documents that fill rows exactly: each shard's first row still begins with end-of-text, and nothing is lost."""
    sizes = {"crawl": {"p0": [T - 1] * 40, "p1": [2 * T - 1] * 20}}
    make(tmp_path, MixtureConfig(epochs={"crawl": 1}, validation_fraction=0), packing, sizes)
    assert not [f for f in verify_packed(Storage(str(tmp_path))) if f.problem]
    manifest = read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist()
    assert sum(n for r in manifest for _, n in r["tokens_by_source"]) == 80 * T
    assert sum(r["n_rows"] for r in manifest) <= 80 + 2 * len(manifest)


def test_verify_wants_the_first_end_of_text(tmp_path: Path) -> None:
    make(tmp_path, MixtureConfig(weights={"crawl": 1, "books": 1}, validation_fraction=0.15), "best_fit")
    row = read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist()[0]
    path = tmp_path / "packed" / row["path"]
    for place, problem in ((0, "there is no end-of-text token before"), (_padding(path, tmp_path / "packed" / row[
            "spans_path"]), "a token of no document is not end-of-text")):
        before = path.read_bytes()
        data = bytearray(before)
        data[1024 + 2 * place : 1026 + 2 * place] = b"\5\0"
        path.write_bytes(data)
        assert any(problem in (f.problem or "") for f in verify_packed(Storage(str(tmp_path))))
        path.write_bytes(before)


def _padding(path: Path, spans_path: Path) -> int:
    """Place of a token of padding."""
    free = np.ones(len(open_shard(str(path))[1]), bool)
    for span in read_table(str(spans_path)).to_pylist():
        free[span["token_start"] : span["token_start"] + span["n_tokens"]] = False
    return int(np.flatnonzero(free)[-1])


def test_targets_stop_at_rows_and_padding(tmp_path: Path) -> None:
    make(tmp_path, MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.15), "best_fit")
    data = PackedDataset(tmp_path, "train")
    for row in range(len(data)):
        documents, targets = data.documents(row), data.targets(row)
        assert targets[-1] == -100
        end = int(documents.cu_seqlens[-2]) if documents.doc_ids[-1] is None else T
        assert (targets[: end - 1] == data[row][1:end]).all()
        assert (targets[end - 1 :] == -100).all()


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_phases(tmp_path: Path, packing: str) -> None:
    """Rows of a phase come before the next one's, hold its sources in its shares, and go on where it stopped."""
    run = make(tmp_path, STAGED, packing)
    plan = read_plan(run.output("mix/plan", "plan"))
    found = covered(tmp_path)["train"]
    assert set(found.values()) == {1}
    manifest = [r for r in read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist() if r["split"] == "train"]
    assert [r["phase"] for r in manifest] == sorted(r["phase"] for r in manifest)
    assert {r["phase"] for r in manifest} == {0, 1, 2}
    assert [r["first_row"] for r in manifest] == np.cumsum([0, *(r["n_rows"] for r in manifest)])[:-1].tolist()
    for number, phase in enumerate(plan.phases):
        mine = [r for r in manifest if r["phase"] == number]
        sums: Counter[str] = Counter()
        for row in mine:
            sums.update(dict(row["tokens_by_source"]))
        dropped = sum(r["dropped_tokens"] for r in mine)
        assert sums.total() + dropped == phase.total_tokens
        assert dropped < T
        for source, selected in zip(plan.sources, phase.selected_tokens, strict=True):
            assert selected - dropped <= sums[source.name] <= selected
    if packing == "best_fit":  # nothing dropped: what every source gives is one run of its tape from the start
        for source in plan.sources:
            tokens = sum(n for r in manifest for name, n in r["tokens_by_source"] if name == source.name)
            assert tokens == source.selected_tokens
            passes = Counter(epoch for (doc, epoch, _) in found if doc in _documents(source.name))
            assert all(passes[e] == source.available_tokens for e in range(source.cuts[-1].epoch))


def test_one_phase_of_everything_is_the_plain_mixture(tmp_path: Path) -> None:
    """A phase is no new order: one that holds all gives the same shards as none."""
    weights = {"crawl": 2, "books": 1}
    plain = make(tmp_path / "a", MixtureConfig(weights=weights, validation_fraction=0.15), "concat")
    staged = make(tmp_path / "b", MixtureConfig(validation_fraction=0.15, phases=(
        PhaseConfig(name="only", weights=weights, share=1),)), "concat")
    for shard in plain.outputs("packed", "shard"):
        assert Path(shard).read_bytes() == Path(shard.replace(str(plain.root), str(staged.root))).read_bytes()


def _documents(source: str) -> set[bytes]:
    return {d for docs in corpus(SIZES)[source].values() for d, _ in docs}
