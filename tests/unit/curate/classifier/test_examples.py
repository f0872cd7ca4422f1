"""The examples of the whole corpus: bounded, the lowest by hash, and without near-duplicates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from curate.classifier.config import ClassifierConfig
from curate.classifier.examples import examples
from curate.classifier.kinds import halvings
from curate.classifier.near import near_duplicates
from curate.classifier.samples import samples
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import read_table

Run = Callable[..., TaskRecord]
Web = dict[str, dict[str, str]]


def test_halving_leaves_two_to_four_times_the_wanted_number() -> None:
    for n in (0, 99, 399, 400, 12_345, 10**9):
        k = halvings(n, 100)
        assert k == 0 or 200 <= n / 2**k < 400


def test_parts_keep_less_and_the_examples_are_the_same(web: Web, run: Run, storage: Storage) -> None:
    config = ClassifierConfig(max_documents=20, buckets=2000, min_count=1, near_duplicates=None)
    chosen = []
    for shares in ({}, {"negative": halvings(160, 20), "linked": halvings(80, 20)}):
        records = [run("classifier/samples", name, samples, config, inputs, negative=name.startswith("crawl"),
                       halvings=shares) for name, inputs in web.items()]
        paths = [record.output("samples").path for record in records]
        record = run("classifier/examples", "examples", examples, config, {"samples": paths})
        chosen.append(storage.read_bytes(record.output("examples").path))
        assert record.counters == {"linked": 20, "curated": 20, "negative": 20}
    assert sum(record.counters["sampled_negative"] for record in records) < 80
    assert chosen[0] == chosen[1]


def test_near_duplicates_go_and_the_better_kind_stays(web: Web, run: Run, storage: Storage) -> None:
    documents = read_table(web["crawl/one"]["documents"])
    config = ClassifierConfig(buckets=2000, min_count=1)
    sampled = run("classifier/samples", "crawl/one", samples, config, web["crawl/one"], negative=True)
    inputs = {"samples": [sampled.output("samples").path]}
    record = run("classifier/examples", "examples", examples, config, inputs)
    kept = read_table(storage.path(record.output("examples").path))
    texts = documents["text"].to_pylist()
    assert len(set(kept["text"].to_pylist())) == len(kept)
    assert record.counters["near_duplicates_linked"] + record.counters["linked"] == 40
    assert 0 < len(kept) <= len(set(texts))
    assert kept["order"].to_numpy().tolist() == sorted(kept["order"].to_pylist())


@pytest.mark.parametrize("seed", range(3))
def test_the_search_agrees_with_all_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    base = [[f"w{random.integers(3000)}" for _ in range(80)] for _ in range(12)]
    texts = []
    for i in range(60):
        words = list(base[i % 12])
        for _ in range(random.integers(0, 4)):
            words[random.integers(80)] = f"x{random.integers(99)}"
        texts.append(" ".join(words))
    texts += ["", "", "one word", "one word"]
    sets = [{tuple(w[j : j + 5]) for j in range(max(1, len(w) - 4))} if w else set() for w in map(str.split, texts)]
    kept: list[int] = []
    gone = []
    for i, s in enumerate(sets):
        twin = any(s and len(s & sets[j]) / len(s | sets[j]) >= 0.8 for j in kept)
        gone.append(twin)
        if not twin:
            kept.append(i)
    assert near_duplicates(pa.array(texts, pa.large_string()), 0.8).tolist() == gone
    assert sum(gone) > 10
