"""Labels, scores and the trees, each against a plain reading of what they mean."""

from __future__ import annotations

import json
from importlib.resources import files
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.extraction.choice import drawn_together, page_bound
from curate.extraction.context import CONTEXT, put_context
from curate.extraction.extracted import PAGE_TYPES
from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import FEATURES, N_FEATURES, block_features, fill_features
from curate.extraction.model import load_model, model_of
from curate.extraction.scan import scan
from curate.extraction.trees import class_scores, tree_scores, trees_of
from curate.extraction.vocabulary import load_vocabulary
from manifests.errors import InputError
from scripts.extraction_model.gold import block_labels, site_of
from scripts.extraction_model.score import agreement, mean_agreement, words_of

MODEL = json.loads(files("curate.extraction").joinpath("model.json").read_text())


def test_agreement_by_hand() -> None:
    gold, found = words_of("The cat sat on the mat."), words_of("the CAT sat on a mat")
    # Gold grams: the-cat-sat-on, cat-sat-on-the, sat-on-the-mat; found: the first of them and two others.
    assert agreement(found, gold) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert agreement(gold + gold, gold).recall == 1
    assert agreement(gold + gold, gold).precision == pytest.approx(3 / 9)
    assert agreement(words_of("two words"), words_of("Two words")).f1 == 1
    assert agreement([], gold) == (0, 0, 0)
    assert agreement([], []) == (1, 1, 1)
    # By words: the, cat, sat, on and mat of six each.
    assert agreement(found, gold, 1) == pytest.approx((5 / 6, 5 / 6, 5 / 6))
    assert mean_agreement([agreement(gold, gold), agreement([], gold)]) == (0.5, 0.5, 0.5)


def test_labels_of_blocks() -> None:
    gold = "Title here\nOne two three four five six seven.\nLast words of it"
    lines = {" ".join(words_of(line)) for line in gold.split("\n")}
    texts = ("Menu", "Title here", "one two three four", "five six", "seven eight nine ten", "it", "")
    blocks = [words_of(b) for b in texts]
    labels = block_labels(blocks, words_of(gold), lines)
    assert labels.tolist() == [0, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(("url", "html", "site"), [
    ("http://news.example.co.uk/a", b"", "example.co.uk"),
    ("http://www.Example.com:8080/", b"", "example.com"),
    (None, b"<link rel='canonical' href='https://blog.example.org/x'>", "example.org"),
    (None, b"http://twitter.com/x http://twitter.com/y http://a.example.net/z", "example.net"),
    (None, b"<p>none", "page-7"),
    ("http://[broken", b"", "page-7"),
])
def test_pages_are_grouped_by_site(url: str | None, html: bytes, site: str) -> None:
    assert site_of(url, html, "page-7") == site


def test_every_feature_is_named_once_and_finite() -> None:
    assert len(set(FEATURES)) == N_FEATURES
    page, n = scan(b"<title>A b</title><h1>A b</h1><p>One, two. <a href=x>three</a><td>x<td>\xc2\xa9<pre>z</pre>" * 3)
    found, facts = block_features(page, n, load_vocabulary())
    assert facts.shape == (len(PAGE_FACTS),)
    assert np.isfinite(facts).all()
    assert found.shape == (n, N_FEATURES)
    assert np.isfinite(found).all()
    seen = dict(zip(FEATURES, found[1], strict=True))
    assert seen["in_paragraph"] == 1
    assert seen["link_share"] == pytest.approx(5 / 15)
    assert seen["repeats"] == 2
    assert seen["log_commas"] == pytest.approx(np.log(2))


def test_passages_that_a_page_holds_twice_are_known_to_both_blocks() -> None:
    quoted, reply = "the pump of the old well leaks since monday", "take it apart and look at the ring"
    html = (f"<p>{quoted} {reply}</p><p>short text</p><p>{quoted}, {reply.upper()}</p>"
            f"<p>{quoted} and nobody knows why it does</p>")
    page, n = scan(html.encode())
    found, _ = block_features(page, n, load_vocabulary())
    before, after = found[:, FEATURES.index("seen_before")], found[:, FEATURES.index("seen_after")]
    assert before.tolist() == [0, 0, 1, 0.5]  # 9 words make 6 runs of four, 15 make 12
    assert after.tolist() == [1, 0, pytest.approx(6 / 14), 0]


def test_a_page_says_its_kind_by_its_host_and_the_name_of_its_site() -> None:
    def hints(head: str) -> dict[str, float]:
        page, n = scan(f"<head>{head}</head><p>One text of a few words.</p>".encode())
        return dict(zip(PAGE_FACTS, block_features(page, n, load_vocabulary())[1].tolist(), strict=True))

    assert hints('<link rel=canonical href="https://forum.example.org/a/1">')["host_thread"] == 1
    assert hints('<meta property="og:site_name" content="The Example Community">')["host_thread"] == 1
    assert hints('<link rel=canonical href="https://docs.example.org/forum/1">')["host_manual"] == 1
    assert hints('<link rel=canonical href="https://docs.example.org/forum/1">')["host_thread"] == 0
    assert hints('<link rel=canonical href="https://docs.example.org/forum/1">')["address_thread"] == 1
    assert hints('<link rel=canonical href="https://forumula.example.org/">')["host_thread"] == 0


def test_prose_in_comments_and_elsewhere_is_measured() -> None:
    long = "The ferry left the harbour at noon with carts of barley, and nobody had counted the wet sacks. "
    page, n = scan(f"<p>{long}</p><div class=comments><p>{long * 3}</p><p>Short.</p></div>".encode())
    facts = dict(zip(PAGE_FACTS, block_features(page, n, load_vocabulary())[1].tolist(), strict=True))
    size = len(long) - 1
    assert facts["log_prose"] == pytest.approx(np.log(1 + size + 3 * len(long) - 1))
    assert facts["prose_in_comments"] == pytest.approx((3 * len(long) - 1) / (size + 3 * len(long) - 1))
    assert facts["prose_in_messages"] == 0


def test_blocks_are_ranked_by_what_was_judged_higher() -> None:
    page, n = scan(b"<p>four<p>eight888<p>two <a href=x>linked</a><p>last")
    _, facts = block_features(page, n, load_vocabulary())
    x = np.zeros((n, N_FEATURES), np.float32)
    group, nearest, paths = fill_features(page, n, load_vocabulary(), x, np.zeros_like(facts))
    context = np.zeros((n, len(CONTEXT)), np.float32)
    put_context(page, n, np.array([0.5, 0.9, 0.7, 0.1], np.float32), group, nearest, paths, context)
    higher = [12, 0, 8, 16]  # bytes outside links in blocks judged higher: 4, 8, 4 and 4 in all
    assert context[:, CONTEXT.index("judged_rank")] == pytest.approx(np.array(higher) / 20)
    assert context[:, CONTEXT.index("judged_higher")] == pytest.approx(np.log1p(higher))


def plain_score(trees: dict[str, Any], row: np.ndarray, every: int = 1, first: int = 0) -> float:
    total = 0.0
    for k in trees["root"][first::every]:
        while k >= 0:
            side = "left" if row[trees["feature"][k]] <= np.float32(trees["threshold"][k]) else "right"
            k = trees[side][k]
        total += trees["value"][~k]
    return total


def on_thresholds(trees: dict[str, Any], n: int, columns: int) -> np.ndarray:
    """Values at, just under and just over thresholds, where a wrong comparison shows; float32 [n, columns]."""
    picked = np.resize(np.array(trees["threshold"], np.float32), n * columns).reshape(n, columns)
    picked[1::3] = np.nextafter(picked[1::3], np.float32(np.inf))
    return picked


@pytest.mark.parametrize("name", ["first", "second", "other"])
def test_compiled_trees_follow_the_model_file(name: str) -> None:
    rows = on_thresholds(MODEL[name], 33, N_FEATURES + len(CONTEXT))
    out = np.empty(len(rows))
    tree_scores(getattr(load_model(), name), rows, np.arange(len(rows)), out)
    assert out.tolist() == [plain_score(MODEL[name], row) for row in rows]
    some = np.full(len(rows), np.nan)
    tree_scores(getattr(load_model(), name), rows, np.array([30, 2, 3, 4, 19, 7]), some)
    assert np.flatnonzero(~np.isnan(some)).tolist() == [2, 3, 4, 7, 19, 30]
    assert some[[2, 3, 4, 7, 19, 30]].tolist() == out[[2, 3, 4, 7, 19, 30]].tolist()


@pytest.mark.parametrize("n", [0, 1, 127, 128, 129, 300])
def test_any_rows_of_any_number_are_judged_and_the_others_left(n: int) -> None:
    x = on_thresholds(MODEL["first"], 310, N_FEATURES + len(CONTEXT))
    every, some = np.empty(len(x)), np.full(len(x), np.nan)
    tree_scores(load_model().first, x, np.arange(len(x)), every)
    rows = np.arange(len(x))[::-1][:n].copy()
    tree_scores(load_model().first, x, rows, some)
    assert np.flatnonzero(~np.isnan(some)).tolist() == sorted(rows.tolist())
    assert some[rows].tolist() == every[rows].tolist()


def random_tree(arrays: dict[str, Any], random: Random, n_leaves: int) -> int:
    """Add a tree of so many leaves to a model's arrays; its root."""
    if n_leaves == 1:
        arrays["value"].append(random.uniform(-1, 1))
        return ~(len(arrays["value"]) - 1)
    node = len(arrays["feature"])
    for name, value in (("feature", random.randrange(5)), ("threshold", random.randrange(4)), ("left", 0),
                        ("right", 0)):
        arrays[name].append(value)
    n_left = random.randrange(1, n_leaves)
    arrays["left"][node] = random_tree(arrays, random, n_left)
    arrays["right"][node] = random_tree(arrays, random, n_leaves - n_left)
    return node


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 32), max_size=5), st.integers(0, 10**6))
def test_trees_of_any_shape_give_the_leaf_that_a_walk_finds(sizes: list[int], seed: int) -> None:
    random = Random(seed)
    arrays: dict[str, Any] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "root")}
    for n_leaves in sizes:
        arrays["root"].append(random_tree(arrays, random, n_leaves))
    x = np.array([[random.randrange(5) for _ in range(5)] for _ in range(40)], np.float32)
    out = np.empty(len(x))
    tree_scores(trees_of(arrays), x, np.arange(len(x)), out)
    assert out.tolist() == [plain_score(arrays, row) for row in x]


def test_a_tree_of_too_many_leaves_is_refused() -> None:
    arrays: dict[str, Any] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "root")}
    arrays["root"].append(random_tree(arrays, Random(1), 33))
    with pytest.raises(InputError, match="33 leaves"):
        trees_of(arrays)


def test_kinds_of_pages_follow_the_model_file() -> None:
    for row in on_thresholds(MODEL["kinds"], 5, len(PAGE_FACTS)):
        out = np.empty(len(PAGE_TYPES))
        class_scores(load_model().kinds, row[None], out)
        sums = [plain_score(MODEL["kinds"], row, len(PAGE_TYPES), k) for k in range(len(PAGE_TYPES))]
        assert out == pytest.approx(np.exp(sums) / np.exp(sums).sum())


@pytest.mark.parametrize("key", ["features", "context", "facts", "page_types", "contents"])
def test_a_model_of_other_features_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="other features"):
        model_of({**MODEL, key: MODEL[key][1:]})


def test_a_converted_model_scores_as_lightgbm_does() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="needs the extra train")
    from scripts.extraction_model.arrays import arrays_of
    from scripts.extraction_model.folds import FIRST_TREES

    rows = np.sin(np.arange(2000 * N_FEATURES, dtype=np.float32)).reshape(2000, N_FEATURES)
    labels = (rows[:, 3] + rows[:, 40] > 0.2).astype(np.float64)
    booster = lightgbm.train(FIRST_TREES, lightgbm.Dataset(rows, labels), 20)
    out = np.empty(len(rows))
    tree_scores(trees_of(arrays_of(booster)), rows, np.arange(len(rows)), out)
    assert out == pytest.approx(booster.predict(rows, raw_score=True), abs=1e-5)


def expected_f1(probabilities: np.ndarray, words: np.ndarray, kept: np.ndarray) -> float:
    right = float((probabilities * words)[kept].sum())
    return 2 * right / float(words[kept].sum() + (probabilities * words).sum())


def test_a_pages_own_bound_keeps_the_blocks_with_the_best_expected_f1() -> None:
    for case in range(40):
        draws = np.random.default_rng(case)
        p, words = draws.uniform(size=9), draws.integers(1, 50, 9).astype(np.float64)
        every = [np.array([(subset >> i) & 1 for i in range(9)], np.bool_) for subset in range(1, 512)]
        best = max(expected_f1(p, words, kept) for kept in every)
        assert page_bound(p, words, 0.4, 1.0) == pytest.approx(best / 2)
        assert expected_f1(p, words, p > page_bound(p, words, 0.4, 1.0)) == pytest.approx(best)
        assert page_bound(p, words, 0.4, 0.0) == 0.4
        assert page_bound(p, words, 0.4, 0.5) == pytest.approx((best / 2 + 0.4) / 2)
    assert page_bound(np.zeros(0), np.zeros(0), 0.4, 0.5) == 0.2
    assert page_bound(np.ones(2), np.zeros(2), 0.4, 0.5) == 0.2


def test_blocks_of_one_path_are_drawn_together_by_their_words() -> None:
    p, words, paths = np.array([0.2, 0.8, 0.5, 0.6]), np.array([0.0, 2.0, 7.0, 0.0]), np.array([0, 0, 1, 0])
    mean = (1 * 0.2 + 3 * 0.8 + 1 * 0.6) / 5
    assert drawn_together(p, words, paths, 0.0) == pytest.approx(p)
    assert drawn_together(p, words, paths, 1.0) == pytest.approx([mean, mean, 0.5, mean])
    assert drawn_together(p, words, paths, 0.25) == pytest.approx(0.75 * p + 0.25 * np.array([mean, mean, 0.5, mean]))
    assert drawn_together(p[:0], words[:0], paths[:0], 0.5).size == 0
