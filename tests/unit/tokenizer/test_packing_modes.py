"""best_fit, pad and staged mixtures: whole small runs read back, token by token."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from manifests import PackedDataset
from manifests.shard import open_shard
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.verify import verify_packed
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer, corpus
from tokenizer.mix import read_plan
from tokenizer.mixture_config import MixtureConfig, PhaseConfig
from tokenizer.shuffle import PackConfig

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
    pack = PackConfig(row_length=T, shard_tokens=8 * T, buckets=4, packing=packing)  # type: ignore[arg-type]
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
        assert free.sum() == shard["padding_tokens"] + (shard["packing"] == "concat")
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
        tokens - sum(r["padding_tokens"] for r in rows))
    if packing == "pad":
        for shard in rows:
            spans = read_table(str(tmp_path / "packed" / shard["spans_path"]))
            assert spans["row"].to_pylist() == list(range(shard["n_rows"]))
    else:
        assert tokens - sum(r["padding_tokens"] for r in rows) > 0.9 * tokens
    assert not [f for f in verify_packed(Storage(str(tmp_path))) if f.problem]


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
            assert all(passes[e] == source.available_tokens for e in range(source.whole_epochs))


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
