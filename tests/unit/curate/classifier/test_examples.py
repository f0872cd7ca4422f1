"""The examples of the whole corpus: bounded, the lowest by hash, and without near-duplicates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
from tests.unit.curate.small_web import run_web

Run = Callable[..., TaskRecord]


def test_halving_leaves_two_to_four_times_the_wanted_number() -> None:
    for n in (0, 99, 399, 400, 12_345, 10**9):
        k = halvings(n, 100)
        assert k == 0 or 200 <= n / 2**k < 400


def test_parts_keep_less_and_the_examples_are_the_same(web_folder: Path, run: Run, storage: Storage) -> None:
    config = {"max_documents": 20, "buckets": 2000, "min_count": 1, "near_duplicates": None}
    web = run_web(web_folder / "run", web_folder / "in", classifier=config)
    assert web.total("classifier/samples", "sampled_negative") < 80  # halvings of the counts of the corpus
    chosen = web.view.output("classifier/examples", "examples", "examples").paths[0]
    assert web.view.counters("classifier/examples") == {"linked": 20, "curated": 20, "negative": 20}
    sampled = []
    for task in web.view.records("classifier/samples").tasks:
        inputs = {"documents": web.view.output("extract", task, "documents").paths[0],
                  "labels": web.view.output("classifier/labels", task, "labels").paths[0]}
        all_of_it = run("all/samples", task, samples, ClassifierConfig(max_documents=20), inputs,
                        negative=task.startswith("crawl"))
        sampled.append(all_of_it.output("samples").path)
    record = run("all/examples", "examples", examples, ClassifierConfig.model_validate(config), {"samples": sampled})
    assert storage.read_bytes(record.output("examples").path) == storage.read_bytes(chosen)


def test_near_duplicates_go_and_the_better_kind_stays(web_folder: Path) -> None:
    web = run_web(web_folder / "run", web_folder / "in", classifier={"buckets": 2000, "min_count": 1})
    kept = web.table("classifier/examples", "examples", "examples")
    counters = web.view.counters("classifier/examples")
    assert len(set(kept["text"].to_pylist())) == len(kept)
    assert counters["near_duplicates_linked"] + counters["linked"] == 80
    assert counters["near_duplicates_negative"] > 0
    assert 0 < len(kept) < 270
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
