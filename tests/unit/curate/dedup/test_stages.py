"""The stages of deduplication, run on files, against every pair compared in plain Python."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from curate.dedup.config import DedupConfig, Verification
from manifests.errors import InputError, StageError
from tests.unit.curate.dedup.dedup_reference import (
    Doc,
    Verdict,
    edited,
    found,
    jaccard,
    prose,
    run_dedup,
    tables_of,
    verdicts,
)
from tests.unit.curate.graph_runs import recipe_of, run_graph

RANKS = {"books": 0, "crawl": 1}
CONFIG = DedupConfig(partitions=3)


def corpus() -> dict[str, list[Doc]]:
    """Copies, graded near-duplicates, short, empty and unselected texts, over three parts and two sources."""
    originals = [prose(i, 300) for i in range(12)]
    crawl = [Doc(t, quality=0.1 * (i % 7)) for i, t in enumerate(originals)]
    near = [Doc(edited(t, *range(10, 10 + 30 * k, 30)), quality=0.05 * k)
            for k, t in enumerate(originals[:8], start=1)]
    exact = [Doc(originals[2].upper().replace(" ", ",  "), quality=0.9), Doc(originals[3]),
             Doc(originals[9], keep=False), Doc(near[0].text, quality=0.01), Doc("same four words here"),
             Doc("Same four words, here."), Doc(""), Doc("!!"), Doc("")]
    books = [Doc(originals[0], "books"), Doc(edited(originals[5], 3), "books"), Doc(prose(99, 50), "books")]
    return {"crawl/part-a": crawl, "crawl/part-b": [*near, *exact], "books/part-a": books}


def check(got: dict[bytes, Verdict], wanted: dict[bytes, Verdict]) -> None:
    assert got.keys() == wanted.keys()
    for key, verdict in wanted.items():
        assert (got[key].reason, got[key].survivor) == (verdict.reason, verdict.survivor)
        if verdict.similarity is not None:
            assert got[key].similarity == pytest.approx(verdict.similarity, abs=1e-6)


def test_decisions_equal_the_rules(tmp_path: Path) -> None:
    parts = corpus()
    run = run_dedup(tmp_path, parts, CONFIG, RANKS)
    docs = [d for part in parts.values() for d in part]
    wanted = verdicts(docs, RANKS)
    check(found(tmp_path, parts), wanted)
    reasons = [v.reason for v in wanted.values()]
    assert reasons.count("near_duplicate") >= 6
    assert reasons.count("exact_duplicate") >= 3
    for reason in ("exact_duplicate", "near_duplicate", "not_selected"):
        assert run.total("dedup/decisions", f"dropped_{reason}") == reasons.count(reason)
    assert run.total("dedup/decisions", "documents") == len(docs)
    assert run.total("dedup/decisions", "kept") == reasons.count(None)
    assert run.total("dedup/decisions", "documents[books]") == 3
    assert run.total("dedup/signatures", "documents_without_words") == 3


@pytest.mark.parametrize("partitions", [1, 40])
def test_partitions_change_nothing(tmp_path: Path, partitions: int) -> None:
    parts = corpus()
    run_dedup(tmp_path / "a", parts, CONFIG, RANKS)
    run_dedup(tmp_path / "b", parts, CONFIG.model_copy(update={"partitions": partitions}), RANKS)
    for part in parts:
        name = f"dedup/decisions/{part}.parquet"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_chains_do_not_delete(tmp_path: Path) -> None:
    a = prose(1, 200)
    b, c = edited(a, *range(5, 80, 25)), edited(a, *range(5, 180, 25))
    assert jaccard(a, b) >= 0.8 <= jaccard(b, c)
    assert jaccard(a, c) < 0.8
    parts = {"crawl/part-a": [Doc(a, quality=0.9), Doc(b, quality=0.8), Doc(c, quality=0.7)]}
    run = run_dedup(tmp_path, parts, DedupConfig(partitions=2, n_bands=40, n_band_rows=3), RANKS)
    got = [v.reason for v in found(tmp_path, parts).values()]
    assert got == [None, "near_duplicate", None]
    assert run.total("dedup/resolve", "pairs_accepted") == 1


def test_a_chain_is_one_cluster_whatever_else_there_is(tmp_path: Path) -> None:
    """What a chain joins has one cluster, kept or not; other parts do not change its name."""
    a = prose(1, 200)
    b, c = edited(a, *range(5, 80, 25)), edited(a, *range(5, 180, 25))
    config = DedupConfig(partitions=2, n_bands=40, n_band_rows=3)
    parts = {"crawl/part-a": [Doc(a, quality=0.9), Doc(prose(2, 90))],
             "crawl/part-b": [Doc(b, quality=0.8), Doc(c, quality=0.7), Doc("x", keep=False)]}
    names = []
    for folder, more in (("few", {}), ("more", {f"crawl/other-{i}": [Doc(prose(50 + i, 80))] for i in range(9)})):
        run = run_dedup(tmp_path / folder, {**parts, **more}, config, RANKS)
        decisions = [row for part in parts for row in run.rows("dedup/decisions", part)]
        assert [m["keep"] for m in decisions] == [True, True, False, True, False]
        clusters = [m["cluster_id"] for m in decisions]
        assert clusters[1] is clusters[4] is None
        assert clusters[0] == clusters[2] == clusters[3] is not None
        names.append(clusters)
    assert names[0] == names[1]


def test_near_duplicates_are_sought_in_the_sources_named_alone(tmp_path: Path) -> None:
    text = prose(3, 300)
    parts = {"books/part-a": [Doc(text), Doc(edited(text, 7)), Doc(text.upper())],
             "crawl/part-a": [Doc(edited(text, 9)), Doc(edited(text, 11))]}
    run = run_dedup(tmp_path, parts, CONFIG.model_copy(update={"near_sources": ("crawl",)}), RANKS)
    assert [v.reason for v in found(tmp_path, parts).values()].count("near_duplicate") == 1
    assert run.total("dedup/decisions", "dropped_exact_duplicate") == 1  # of any source
    rows = {d.doc_id: found(tmp_path, parts)[d.doc_id].reason for d in parts["books/part-a"]}
    assert sorted(map(str, rows.values())) == ["None", "None", "exact_duplicate"]


def test_copy_of_a_near_duplicate_points_at_its_survivor(tmp_path: Path) -> None:
    text = prose(1, 200)
    near = edited(text, 7)
    docs = [Doc(text, quality=0.9), Doc(near, quality=0.5), Doc(near.upper(), quality=0.4)]
    parts = {"crawl/part-a": docs}
    run_dedup(tmp_path, parts, CONFIG, RANKS)
    got = list(found(tmp_path, parts).values())
    assert [v.reason for v in got] == [None, "near_duplicate", "near_duplicate"]
    assert {v.survivor for v in got[1:]} == {docs[0].doc_id}
    assert got[1].similarity == got[2].similarity == pytest.approx(jaccard(text, near), abs=1e-6)


def test_large_bucket_of_copies_costs_one_check_each(tmp_path: Path) -> None:
    text = prose(5, 400)
    parts = {"crawl/part-a": [Doc(edited(text, i)) for i in range(60)]}
    run = run_dedup(tmp_path, parts, CONFIG.model_copy(update={"bucket_pivots": 4, "max_removed_fraction": 1.0}), RANKS)
    got = list(found(tmp_path, parts).values())
    assert [v.reason for v in got].count(None) == 1
    assert run.total("dedup/candidates", "oversize_buckets") > 0
    assert run.total("dedup/resolve", "pairs_checked") == 59
    assert run.total("dedup/resolve", "met_full_buckets") == 0


def test_large_bucket_of_unlike_documents_costs_no_square(tmp_path: Path) -> None:
    banner = prose(5, 30)
    parts = {"crawl/part-a": [Doc(f"{banner} {prose(100 + i, 60)}") for i in range(60)]}
    config = CONFIG.model_copy(update={"bucket_pivots": 4, "n_bands": 100, "n_band_rows": 1})
    run = run_dedup(tmp_path, parts, config, RANKS)
    assert {v.reason for v in found(tmp_path, parts).values()} == {None}
    assert run.total("dedup/resolve", "full_buckets") > 10
    assert run.total("dedup/resolve", "met_full_buckets") > 1000
    assert run.total("dedup/components", "largest_component") == 60


def test_a_component_larger_than_memory_passes_in_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = corpus()
    run_dedup(tmp_path / "whole", parts, CONFIG, RANKS)
    monkeypatch.setattr("curate.dedup.kernels.candidates.resolve.__defaults__", (None, 1))
    monkeypatch.setattr("curate.dedup.resolve.ROUND_BYTES", 1)
    monkeypatch.setattr("curate.dedup.mapped.MappedArrays.__init__.__defaults__", (0,))
    monkeypatch.setattr("curate.dedup.ordered.ordered.__defaults__", (None, 3))
    monkeypatch.setattr("curate.dedup.ordered._SAMPLED", 1)
    monkeypatch.setattr("curate.dedup.ordered._KEYS", 5)
    monkeypatch.setattr("curate.dedup.spool.Spool.__init__.__defaults__", (50,))
    monkeypatch.setattr("curate.dedup.spool.CHUNK_RECORDS", 2)
    monkeypatch.setattr("curate.dedup.kernels.components.Components.__init__.__defaults__", (2, 50, 1 << 62))
    monkeypatch.setattr("manifests.shuffle.together.__defaults__", (100,))
    run = run_dedup(tmp_path / "rounds", parts, CONFIG, RANKS)
    assert run.total("dedup/resolve", "rounds") == run.total("dedup/resolve", "documents") > 9
    for part in parts:
        name = f"dedup/decisions/{part}.parquet"
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "rounds" / name).read_bytes()


@pytest.mark.parametrize(("seed", "head", "partitions", "verify"), [
    (0, 3, 3, Verification.EXACT), (1, 1, 1, Verification.EXACT), (2, 9, 17, Verification.EXACT),
    (3, 3, 2, Verification.SIGNATURES)])
def test_a_large_component_is_compared_by_several_tasks(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, head: int, partitions: int,
        verify: Verification) -> None:
    """Pages of two templates, alike by more and by less than the threshold, and copies of a few of them: the outcome is
    that of one task."""
    chance = random.Random(seed)
    texts = [f"{prose(900 + i % 2, 60)} {prose(10 * seed + i, chance.choice([4, 12, 30]))}" for i in range(70)]
    texts += [edited(chance.choice(texts), *chance.sample(range(60), chance.choice([1, 2]))) for _ in texts]
    docs = [Doc(text, quality=chance.random()) for text in texts]
    parts = {f"crawl/part-{i}": docs[i::4] for i in range(4)}
    config = CONFIG.model_copy(update={"bucket_pivots": 3, "n_bands": 60, "n_band_rows": 1, "partitions": partitions,
                                       "verify": verify, "max_removed_fraction": 1.0})
    whole = run_dedup(tmp_path / "whole", parts, config, RANKS)
    assert not whole.view.tasks("dedup/compared")
    monkeypatch.setattr("curate.dedup.components.SLICE_DOCUMENTS", 20)
    monkeypatch.setattr("curate.dedup.splitting.HEAD_DOCUMENTS", head)
    monkeypatch.setattr("curate.dedup.splitting._DOCUMENTS", 7)
    split = run_dedup(tmp_path / "split", parts, config, RANKS)
    assert split.total("dedup/compared", "documents") > 40
    assert (split.total("dedup/pivots", "full_buckets") > 0) == (head > 1)  # a head of one fills none
    for part in parts:
        name = f"dedup/decisions/{part}.parquet"
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "split" / name).read_bytes()
    assert 10 < whole.total("dedup/resolve", "near_duplicates") < 130
    for counter in ("full_buckets", "met_full_buckets"):
        assert whole.total("dedup/resolve", counter) == sum(
            split.total(f"dedup/{stage}", counter) for stage in ("pivots", "compared", "resolve"))


def test_empty_parts_and_empty_runs(tmp_path: Path) -> None:
    parts: dict[str, list[Doc]] = {"crawl/part-a": [], "crawl/part-b": [Doc(prose(1, 50)), Doc("x", keep=False)]}
    run_dedup(tmp_path, parts, CONFIG, RANKS)
    assert [v.reason for v in found(tmp_path, parts).values()] == [None, "not_selected"]


def test_source_that_loses_too_much_stops_the_run(tmp_path: Path) -> None:
    parts = {"crawl/part-a": [Doc(prose(1, 50)) for _ in range(20)]}
    with pytest.raises(StageError, match=r"crawl.*19 of 20"):
        run_dedup(tmp_path, parts, CONFIG.model_copy(update={"guard_min_documents": 20}), RANKS)
    run_dedup(tmp_path, parts, CONFIG.model_copy(update={"guard_min_documents": 21}), RANKS)


def test_unknown_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="news"):
        run_dedup(tmp_path, {"crawl/part-a": [Doc("a b", "news")]}, CONFIG, RANKS)


def test_decisions_of_other_documents_are_refused(tmp_path: Path) -> None:
    tables = tables_of({"crawl/part-a": [Doc("a b"), Doc("c d")]})
    decisions = tables["select"]["crawl/part-a"]
    for wrong in (decisions.take([1, 0]), decisions.slice(0, 1)):
        with pytest.raises(InputError, match="order"):
            run_graph(tmp_path, recipe_of(["crawl"]), {**tables, "select": {"crawl/part-a": wrong}}, ["dedup"])


@pytest.mark.parametrize("seed", [0, 1])
def test_random_corpora_equal_the_rules(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    base = [prose(1000 * seed + i, chance.choice([3, 20, 150])) for i in range(6)]
    docs = []
    for _ in range(60):
        text = chance.choice(base)
        n = len(text.split())
        positions = [chance.randrange(n) for _ in range(chance.choice([0, 0, 1, 2, 3]))]
        docs.append(Doc(edited(text, *positions), chance.choice(["books", "crawl"]),
                        chance.choice([None, 0.5, chance.random()]), chance.random() < 0.9))
    parts = {f"crawl/part-{i}": docs[i::4] for i in range(4)}
    # Bands of two rows miss no pair of similarity 0.8: (1 - 0.64)**64 < 1e-28.
    config = DedupConfig(partitions=4, n_bands=64, n_band_rows=2, max_removed_fraction=1.0)
    run_dedup(tmp_path, parts, config, RANKS)
    check(found(tmp_path, parts), verdicts(docs, RANKS))
