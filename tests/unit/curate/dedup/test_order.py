"""What a recipe may choose: which duplicate stays, one document a URL, shingles, signatures, verification."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from curate.dedup.config import (
    DedupConfig,
    ShingleUnit,
    SignatureScheme,
    SurvivorKey,
    UrlRule,
    Verification,
)
from curate.dedup.kernels.datatrove import permutations64, simplify, xxh64
from curate.dedup.kernels.minhash import shingle_sets
from curate.dedup.signing import minhash, signatures
from curate.text.strings import string_buffers
from curate.text.words import hash_characters
from tests.unit.curate.dedup.dedup_reference import Doc, Verdict, edited, found, jaccard, prose, run_dedup, words

RANKS = {"books": 0, "crawl": 1}


def removed(root: Path, docs: list[Doc], config: DedupConfig) -> list[int]:
    """Places of the documents that a run over two parts removes, each by a kept one."""
    parts = {"crawl/part-a": docs[::2], "crawl/part-b": docs[1::2]}
    run_dedup(root, parts, config, RANKS)
    got = found(root, parts)
    kept = {key for key, verdict in got.items() if verdict.reason is None}
    assert all(v.survivor in kept for v in got.values() if v.reason)
    return [i for i, d in enumerate(docs) if got[d.doc_id].reason]


@pytest.mark.parametrize(("order", "wanted"), [
    (("quality",), [1, 2, 3]), (("length", "quality"), [0, 2, 3]), (("date", "length"), [0, 1, 3]),
    (("source", "length"), [0, 1, 2])])
def test_the_recipe_says_who_survives(tmp_path: Path, order: tuple[str, ...], wanted: list[int]) -> None:
    text = prose(5, 200)
    docs = [Doc(text, quality=0.9, date=5), Doc(text + " and one more word", quality=0.1, date=5),
            Doc(text.upper(), quality=0.2, date=7), Doc(text, "books", quality=0.1)]
    config = DedupConfig(partitions=2, survivor_order=tuple(SurvivorKey(k) for k in order), max_removed_fraction=1.0)
    assert removed(tmp_path, docs, config) == wanted


@pytest.mark.parametrize(("rule", "wanted"), [("latest", [0, 1, 3]), ("first", [0, 2, 3]), ("longest", [1, 2, 3])])
def test_one_document_a_url(tmp_path: Path, rule: str, wanted: list[int]) -> None:
    docs = [Doc(prose(0, 90), url="http://example.org/a", date=20),
            Doc(prose(1, 80), url="https://www.example.org/a/", date=10),
            Doc(prose(2, 70), url="http://EXAMPLE.org/a#top", date=30),
            Doc(prose(3, 60), url="http://example.org/a?utm_source=x", date=None),
            Doc(prose(4, 60), url="http://example.org/b", date=99), Doc(prose(5, 60)), Doc(prose(6, 60))]
    assert removed(tmp_path, docs, DedupConfig(partitions=3, urls=UrlRule(rule))) == wanted


def test_a_url_survivor_that_is_a_duplicate_hands_on_its_survivor(tmp_path: Path) -> None:
    text = prose(8, 200)
    parts = {"crawl/part-a": [Doc(prose(9, 50), url="http://example.org/a", date=1),
                              Doc(text, url="http://example.org/a", date=2),
                              Doc(prose(10, 50), url="http://example.org/b", date=1),
                              Doc(edited(text, 50), url="http://example.org/b", date=2), Doc(text, quality=1.0)]}
    run = run_dedup(tmp_path, parts, DedupConfig(partitions=4, urls=UrlRule.LATEST), RANKS)
    got, best = found(tmp_path, parts), parts["crawl/part-a"][4].doc_id
    verdicts = [got[d.doc_id] for d in parts["crawl/part-a"]]
    assert [v.reason for v in verdicts] == ["url_duplicate", "exact_duplicate", "url_duplicate", "near_duplicate", None]
    assert [v.survivor for v in verdicts] == [best] * 4 + [None]
    assert verdicts[0] == Verdict("url_duplicate", best, None)
    assert run.total("dedup/decisions", "dropped_url_duplicate") == 2


def test_without_exact_copies_are_near_duplicates(tmp_path: Path) -> None:
    text = prose(5, 100)
    docs = [Doc(text, quality=1.0), Doc(text), Doc(prose(6, 100))]
    assert removed(tmp_path / "near", docs, DedupConfig(partitions=2, exact=False)) == [1]
    assert {v.reason for v in found(tmp_path / "near", {"crawl/part-b": docs[1::2]}).values()} == {"near_duplicate"}


def test_verified_by_signatures(tmp_path: Path) -> None:
    text = prose(5, 400)
    docs = [Doc(text, quality=1.0), Doc(edited(text, 10, 200)), Doc(edited(text, *range(0, 400, 10))),
            Doc(prose(6, 400))]
    config = DedupConfig(partitions=2, verify=Verification.SIGNATURES, n_bands=32, n_band_rows=4)
    assert removed(tmp_path, docs, config) == [1]
    a, b = (set(minhash(pa.array([d.text]), config)[0].tolist()) for d in docs[:2])
    got = found(tmp_path, {"crawl/part-b": docs[1::2]})[docs[1].doc_id].similarity
    assert got == pytest.approx(len(a & b) / 128, abs=0.02)
    assert got == pytest.approx(jaccard(docs[0].text, docs[1].text), abs=0.12)


def test_characters_are_those_of_the_words_with_single_spaces() -> None:
    texts = ["Ab,  c!", "ab c", "  ab c", "abc", "", "\u4f60\u597d x", "\U00020000\U00020001"]
    hashes, places = hash_characters(*string_buffers(pa.array(texts)))
    rows = [hashes[a:b].tolist() for a, b in pairwise(places)]
    assert rows[0] == rows[1] == rows[2]
    assert [len(r) for r in rows] == [4, 4, 4, 3, 0, 4, 2]
    assert len({h for r in rows for h in r}) == len(set("abc \u4f60\u597dx\U00020000\U00020001"))


@pytest.mark.parametrize("n", [1, 3, 8])
def test_character_shingles_have_the_jaccard_of_their_sets(n: int) -> None:
    texts = ["The quick brown fox", "the quick, brown fix!", "q"]
    plain = [" ".join(words(t)) for t in texts]
    wanted = [{p[i : i + n] for i in range(max(1, len(p) - n + 1))} for p in plain]
    values, ends = shingle_sets(*hash_characters(*string_buffers(pa.array(texts))), n)
    got = [set(values[a:b].tolist()) for a, b in pairwise(ends)]
    assert [len(s) for s in got] == [len(s) for s in wanted]
    assert len(got[0] & got[1]) == len(wanted[0] & wanted[1])
    config = DedupConfig(shingles=ShingleUnit.CHARACTERS, ngram=n)
    assert signatures(pa.array(texts), config)["n_shingles"].to_pylist() == [max(1, len(p) - n + 1) for p in plain]


def test_datatrove_signatures_are_fineweb_ones() -> None:
    config = DedupConfig(signature=SignatureScheme.DATATROVE64, n_permutations=112, n_bands=14, n_band_rows=8)
    text = ("The quick brown fox jumps over the lazy dog and then runs away from the angry bear in the deep dark "
            "forest.")
    signature = minhash(pa.array([text, "four words are few"]), config)
    assert signature[0, :8].tolist() == [
        85330943174081874, 221539347766812254, 70608248587774901, 34440879854629237, 157060919777728436,
        43362498566173952, 67544654391671079, 77453983841789540]
    assert signature[0, 104:].tolist() == [
        31766314907124794, 135202831738135480, 333063281871745314, 149073857945855951, 1765945916311590,
        59301933511674897, 2777222425112415, 3963570588256049]
    assert signatures(pa.array([text, "four words are few"]), config)["n_shingles"].to_pylist() == [18, 0]
    a, b = permutations64(112, 1)
    assert a[:3].tolist() == [775169054918279404, 1758426461858698313, 2109959069025162]
    assert b[:3].tolist() == [1062448801025099917, 1324811268927594100, 1217488311597731462]


@pytest.mark.parametrize(("text", "wanted"), [
    ("Hello, World! 3.14 and 1,000 Caf\u00e9 na\u00efve \u2014 2021-05-06", "hello world 0 and 0 cafe naive 0 0 0"),
    ("  A\tB\n\nC!!  ", "a b c"), ("don't stop", "don t stop"), ("|$17.56||1|\n|$15.37||2599|", "0 0 0 0")])
def test_texts_are_simplified_as_datatrove_does(text: str, wanted: str) -> None:
    assert simplify(pa.array([text])).to_pylist() == [wanted]


def test_shingles_are_hashed_as_datatrove_does() -> None:
    for text, wanted in (("hello world", 5020219685658847592), ("the quick brown fox jumps", 7797000677988824208),
                         ("quick brown fox jumps over", 4793414983259776074)):
        data = np.frombuffer(text.encode(), np.uint8)
        assert xxh64(data, 0, len(data)) == wanted


def test_xxh64_is_the_library_s() -> None:
    data = np.random.default_rng(1).integers(0, 256, 400, np.uint8)
    for start, n in [(0, n) for n in range(70)] + [(3, 397)]:
        assert xxh64(data, start, start + n) == xxhash.xxh64_intdigest(data[start : start + n].tobytes())
