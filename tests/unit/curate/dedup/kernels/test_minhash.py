"""Word hashing, shingles and signatures against plain Python and datasketch."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from datasketch.lsh import _optimal_param

from curate.dedup.bands import bands_of, best_bands
from curate.dedup.config import DedupConfig
from curate.dedup.kernels.minhash import hash_texts, permutations, shingle_sets
from curate.dedup.signing import minhash, signatures
from curate.text.strings import string_buffers
from curate.text.words import hash_words
from tests.paths import DATA
from tests.unit.curate.dedup.dedup_reference import gram_hash, shingles, word_hash, words

TEXTS = [
    "", " \n\t", "...", "one", "one two three four", "The quick, brown fox — jumps over the lazy dog!",
    "Ünïcode CAFÉ naïve straße İstanbul ΣΊΣΥΦΟΣ Привет, МИР; ещё раз и ещё", "don't stop 3.14 and 1,000 — 2021-05-06",
    "私は東京でラーメンを食べました。とても美味しい。ABC株式会社", "ภาษาไทยไม่มีช่องว่าง ລາວ မြန်မာ ខ្មែរ ok",
    "emoji 😀 between 🚀 words \U0001d518\U0001d52b\U0001d526 𠀀𠀁 \U000f0001",
    "مرحبا بالعالم كيف حالك اليوم يا صديقي العزيز",
    " ".join(f"word{i % 700}" for i in range(2000)), "a b c d e f " * 3]


def hashed(texts: list[str]) -> list[list[int]]:
    values, places = hash_words(*string_buffers(pa.array(texts, pa.large_string())))
    return [values[a:b].tolist() for a, b in pairwise(places)]


def test_word_hashes_equal_the_plain_reading() -> None:
    assert hashed(TEXTS) == [[word_hash(w) for w in words(t)] for t in TEXTS]


def test_slices_and_nulls_are_read_in_place() -> None:
    column = pa.array(["zero", None, "two three", "x"], pa.large_string()).slice(1, 2)
    values, places = hash_words(*string_buffers(column))
    assert values.tolist() == [word_hash("two"), word_hash("three")]
    assert places.tolist() == [0, 0, 2]


def test_scripts_without_spaces_have_shingles() -> None:
    (han,) = hashed(["私は東京で食べました"])
    assert len(han) == 10
    assert words("カタカナ") == list("カタカナ")


def test_shingle_sets_equal_the_plain_reading() -> None:
    for n in (1, 5, 13):
        values, ends = shingle_sets(*hash_words(*string_buffers(pa.array(TEXTS, pa.large_string()))), n)
        sets = [values[a:b].tolist() for a, b in pairwise(ends)]
        assert sets == [sorted({gram_hash(g) for g in shingles(t, n)}) for t in TEXTS]


@pytest.mark.parametrize(("k", "seed"), [(128, 1), (20, 7)])
def test_permutations_are_datasketchs(k: int, seed: int) -> None:
    a, b = permutations(k, seed)
    theirs = MinHash(num_perm=k, seed=seed, scheme="affine32").permutations
    np.testing.assert_array_equal(np.stack([a, b]), theirs)


@pytest.mark.parametrize(("k", "seed"), [(128, 1), (33, 7)])
def test_signatures_are_datasketchs_bit_for_bit(k: int, seed: int) -> None:
    ours = minhash(pa.array(TEXTS), DedupConfig(n_permutations=k, seed=seed, n_bands=2, n_band_rows=4))
    for text, signature in zip(TEXTS, ours, strict=True):
        theirs = MinHash(num_perm=k, seed=seed, scheme="affine32", hashfunc=lambda gram: gram_hash(gram) >> 32)
        theirs.update_batch(shingles(text))
        np.testing.assert_array_equal(signature, theirs.hashvalues)


@pytest.mark.parametrize(("threshold", "k", "weights"), [
    (0.8, 128, (0.1, 0.9)), (0.8, 128, (0.5, 0.5)), (0.5, 64, (0.1, 0.9)), (0.9, 96, (0.4, 0.6)),
    (0.7, 30, (0.9, 0.1))])
def test_bands_are_datasketchs_choice(threshold: float, k: int, weights: tuple[float, float]) -> None:
    assert best_bands(threshold, k, *weights) == _optimal_param(threshold, k, *weights)


def test_default_bands_find_what_the_project_promises() -> None:
    bands, rows = bands_of(DedupConfig())
    assert (bands, rows) == (14, 9)
    assert 1 - (1 - 0.9**rows) ** bands == pytest.approx(0.99895, abs=1e-5)
    assert 1 - (1 - 0.95**rows) ** bands > 0.999999
    assert bands_of(DedupConfig(n_bands=20, n_band_rows=5)) == (20, 5)


@pytest.mark.parametrize("fields", [
    {"n_bands": 20}, {"n_bands": 20, "n_band_rows": 20}, {"false_positive_weight": 0, "false_negative_weight": 0},
    {"unknown": 1}])
def test_config_refuses_what_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        DedupConfig(**fields)


def test_text_hash_sees_words_and_their_order_only() -> None:
    texts = ["Hello, World again", "hello world — AGAIN!", "world hello again", "hello worldagain", "hello world"]
    values, places = hash_words(*string_buffers(pa.array(texts, pa.large_string())))
    hashes = [tuple(h) for h in hash_texts(values, places).tolist()]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4
    for (high, low), a, b in zip(hashes, places[:-1], places[1:], strict=True):
        assert high << 64 | low == xxhash.xxh3_128_intdigest(values[a:b].tobytes())


def test_signatures_of_identical_and_distinct_texts() -> None:
    table = signatures(pa.array(["a b c d e f", "A, b c. d e f", "u v w x y z", ""]), DedupConfig())
    rows = table.to_pylist()
    assert rows[0] == rows[1]
    assert not set(rows[0]["bands"]) & set(rows[2]["bands"])
    assert [r["n_shingles"] for r in rows] == [2, 2, 2, 0]
    assert len(set(rows[0]["bands"])) == 14  # the band's number is part of its key


def shared_texts() -> list[str]:
    root = DATA
    path = root / "text/news.jsonl.gz"
    if not path.exists():
        pytest.skip(f"real texts are not here: {path}")
    with gzip.open(path) as stream:
        return [json.loads(next(stream))["text"] for _ in range(100)]


def test_real_news_signs_as_datasketch_does() -> None:
    texts = shared_texts()
    assert hashed(texts) == [[word_hash(w) for w in words(t)] for t in texts]
    ours = minhash(pa.array(texts), DedupConfig())
    for text, signature in zip(texts[:30], ours, strict=False):
        theirs = MinHash(num_perm=128, seed=1, scheme="affine32", hashfunc=lambda gram: gram_hash(gram) >> 32)
        theirs.update_batch(shingles(text))
        np.testing.assert_array_equal(signature, theirs.hashvalues)
