"""Language models from files, CCNet's normal form, and head, middle and tail of a small corpus."""

# ruff: noqa: RUF001 (marks of many scripts are what is tested)
from __future__ import annotations

import gzip
import re
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.heuristics.external import external_signals
from curate.heuristics.tuning import read_values, signal_names
from curate.perplexity.buckets import BIN_SHIFT, PERPLEXITY_CUTOFFS, buckets, cutoffs, percentile, unwanted
from curate.perplexity.config import Bucket, PerplexityCuts, PerplexityReading
from curate.perplexity.kernels.ccnet import normal_form, normalise_texts
from curate.perplexity.models import load_language_model, load_pieces, perplexities
from curate.selection.config import SelectConfig
from curate.selection.select import select
from manifests.errors import InputError
from manifests.schema import DOCUMENTS
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageTask, execute
from tests.arpa_models import arpa_text, estimate, log10_of

SENTENCES = [line.split() for line in (
    "the cat sat on the mat", "the dog sat on the log", "a cat and a dog met on the road", "the road is long")]


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "model.arpa"
    path.write_text(arpa_text(*estimate(SENTENCES, 3)), "utf-8")
    return path


def _known(path: Path, text: str, **reading: object) -> float:
    model = load_language_model(str(path))
    return float(perplexities(model, None, PerplexityReading.model_validate(reading), pa.array([text]))[0])


def test_perplexity_is_ten_to_the_mean_of_lines_and_their_ends(arpa: Path) -> None:
    logs, weights = estimate(SENTENCES, 3)
    lines = ["the cat sat on the road", "", "a dog is long"]
    total = sum(log10_of(logs, weights, line.split()) for line in lines if line)  # a blank line is none
    assert _known(arpa, "\n".join(lines)) == pytest.approx(10 ** (-total / 12), rel=1e-5)
    joined = log10_of(logs, weights, " ".join(lines).split())
    assert _known(arpa, "\n".join(lines), sentence="document", normalise=False) == pytest.approx(
        10 ** (-joined / 11), rel=1e-5)
    together = log10_of(logs, weights, ["the", "cat", "sat", "on", "the", "roada", "dog", "is", "long"])
    assert _known(arpa, "\n".join(lines), sentence="document") == pytest.approx(10 ** (-together / 10), rel=1e-5)
    assert np.isnan(_known(arpa, " \n "))
    assert _known(arpa, "the cat sat on the mat") < _known(arpa, "mat the on sat cat the")
    assert _known(arpa, "THE  cát sat ön the mat") == _known(arpa, "the cat sat on the mat")


def test_a_compressed_model_is_the_same(arpa: Path, tmp_path: Path) -> None:
    packed = tmp_path / "model.arpa.gz"
    packed.write_bytes(gzip.compress(arpa.read_bytes()))
    assert _known(packed, "the cat is long") == _known(arpa, "the cat is long")


@pytest.mark.parametrize(("old", "new"), [
    ("\\2-grams:", "\\3-grams:"), ("ngram 2=", "ngram 2=1"), ("\\data\\", "\\date\\"), ("\\end\\", "")])
def test_a_broken_model_is_named(arpa: Path, old: str, new: str) -> None:
    text = arpa.read_text("utf-8")
    assert old in text
    arpa.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(InputError, match=r"model\.arpa"):
        load_language_model(str(arpa))


def test_a_cut_off_archive_and_a_page_are_named(tmp_path: Path, arpa: Path) -> None:
    packed = tmp_path / "cut.arpa.gz"
    packed.write_bytes(gzip.compress(arpa.read_bytes())[:-20])
    with pytest.raises(InputError, match="KenLM cannot read it"):
        load_language_model(str(packed))
    (tmp_path / "page.txt").write_text("no model at all")
    with pytest.raises(InputError, match="no language model"):
        load_language_model(str(tmp_path / "page.txt"))


def test_a_model_without_the_library_says_how_to_get_it(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kenlm", None)
    with pytest.raises(InputError, match=r"curate-corpus\[kenlm\]"):
        load_language_model(str(arpa))


def test_a_damaged_binary_model_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa.bin"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(100))
    with pytest.raises(InputError):
        load_language_model(str(path))


WORDS = st.sampled_from(["a", "b", "c", "dé", "東京", "x" * 40])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=8), min_size=1, max_size=12), st.integers(2, 5), st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "dé", "東京", "never", "y\u00a0z"]), max_size=9), max_size=6))
def test_a_text_scores_what_back_off_says(sentences: list[list[str]], order: int, asked: list[list[str]]) -> None:
    logs, weights = estimate(sentences, order)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.arpa")
        path.write_text(arpa_text(logs, weights), "utf-8")
        model = load_language_model(str(path))
    text = "\n".join("  ".join(words) for words in asked)
    sums, counts = model.score(pa.array(["a", text], pa.large_string()), True)
    lines = [words for words in asked if words]
    assert counts.tolist() == [2, sum(len(words) + 1 for words in lines)]
    assert sums[1] == pytest.approx(sum(log10_of(logs, weights, words) for words in lines), rel=1e-5, abs=1e-5)
    together = [word for words in asked for word in words]
    sums, counts = model.score(pa.array([text], pa.large_string()), False)
    assert counts.tolist() == [len(together) + 1 if together else 0]
    assert sums[0] == pytest.approx(log10_of(logs, weights, together) if together else 0.0, rel=1e-5, abs=1e-5)


def test_pieces_come_between_text_and_model(arpa: Path, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="SentencePiece is an extra")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(" ".join(s) for s in SENTENCES * 20), "utf-8")
    sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(tmp_path / "sp"), vocab_size=24,
                                             minloglevel=2)
    pieces = load_pieces(str(tmp_path / "sp.model"))
    cut = [pieces.encode(" ".join(s), out_type=str) for s in SENTENCES]
    logs, weights = estimate(cut, 3)
    model = tmp_path / "pieces.arpa"
    model.write_text(arpa_text(logs, weights), "utf-8")
    text = "the cat met the dog\nthe long road"
    parts = [pieces.encode(line, out_type=str) for line in text.split("\n")]
    total = sum(log10_of(logs, weights, p) for p in parts)
    found = perplexities(load_language_model(str(model)), pieces, PerplexityReading(), pa.array([text]))
    assert found[0] == pytest.approx(10 ** (-total / (sum(map(len, parts)) + 2)), rel=1e-5)
    with pytest.raises(InputError, match="no SentencePiece model"):
        load_pieces(str(corpus))


def _reference(line: str) -> str:
    """CCNet's order of steps, a line at a time, with the marks of `normal_form`."""
    line = line.strip().lower()
    line = "".join(c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    line = "".join(normal_form(c) if not c.isalpha() else c for c in re.sub(r"\d", "0", line))
    return "".join(c for c in line if not (ord(c) < 32 or 127 <= ord(c) < 160))


_CHARS = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="Σ").filter(
    lambda c: not unicodedata.combining(c) or unicodedata.category(c) == "Mn")


@settings(deadline=None)  # kernels may be compiled in it
@example(["\U000e0100x\U000e01ef"])
@given(st.lists(st.text(_CHARS | st.sampled_from("É—…\n\t \u00a0가각１٣«»"), max_size=40), max_size=5))
def test_the_normal_form_is_ccnets(texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    assert normalise_texts(array, False).to_pylist() == [_reference(t) for t in texts]
    assert normalise_texts(array, True).to_pylist() == [
        "\n".join(_reference(line) for line in t.split("\n")) for t in texts]


def test_marks_are_ccnets() -> None:
    texts = pa.array(["  Café — “Zürich” … １２％ 東京。\x07 "], pa.large_string())
    assert normalise_texts(texts, True).to_pylist() == ['cafe  -  "zurich" ... 00% 東京.']


def test_percentiles_are_exact_to_a_bin() -> None:
    values = np.sort(np.random.default_rng(0).lognormal(6, 1, 5000)).astype(np.float32)
    bins, counts = np.unique(values.view(np.uint32) >> np.uint32(BIN_SHIFT), return_counts=True)
    for percent in (0.01, 30.0, 60.0, 99.99):
        edge = percentile(bins, counts, percent)
        share = (values < edge).mean()
        assert percent / 100 <= share <= percent / 100 + (counts.max() + 1) / len(values)
    assert percentile(bins, counts, 30.0) == pytest.approx(np.percentile(values, 30), rel=5e-3)


def _documents(storage: Storage, source: str, texts: list[str], languages: list[str | None]) -> str:
    n = len(texts)
    values = {"doc_id": [bytes([i]) * 16 for i in range(n)], "source": [source] * n, "language": languages,
              "text": texts, "n_bytes": [len(t) for t in texts], "origin_path": ["x"] * n, "origin_offset": [0] * n,
              "origin_length": [0] * n}
    path = Path(storage.path(f"extract/{source}/part-one.parquet"))
    path.parent.mkdir(parents=True)
    write_table(str(path), DOCUMENTS, [pa.table(
        [pa.array(values.get(f.name, [None] * n), f.type) for f in DOCUMENTS], schema=DOCUMENTS)])
    return str(path)


def test_a_run_stores_perplexity_and_keeps_what_the_recipe_names(tmp_path: Path, arpa: Path) -> None:
    storage = Storage(str(tmp_path / "run"))
    texts = [f"the cat sat on the {'zz ' * (i + 1)}" for i in range(10)] + ["le chat est sur la route", " ", "the cat"]
    documents = _documents(storage, "crawl", texts, [*["en"] * 10, "fr", "en", None])
    refs = {"documents": InputRef((documents,), ""), "perplexity_en": InputRef((str(arpa),), "")}
    task = StageTask("signals", 1, "crawl/part-one", PerplexityReading(), {}, refs, {})
    made = execute(storage, task, external_signals)
    assert made.counters == {"documents": 13, "with_perplexity": 10}
    found = read_table(storage.path(made.output("signals").path))["signal_perplexity"].to_pylist()
    assert found[10:] == [None, None, None]
    assert found[:10] == sorted(found[:10])
    cut = execute(storage, StageTask("signals/cutoffs", 1, "cutoffs", PerplexityCuts(), {}, {
        "histograms": InputRef((storage.path(made.output("histogram").path),), "")}, {"sources": ["crawl"]}), cutoffs)
    table = read_table(storage.path(cut.output("cutoffs").path))
    assert table.to_pylist() == [{"language": "en", "head": pytest.approx(found[2], rel=1e-3),
                                  "middle": pytest.approx(found[5], rel=1e-3), "n_documents": 10}]
    config = SelectConfig(filtered_sources=(), perplexity_buckets=(Bucket.HEAD, Bucket.MIDDLE))
    inputs = {"documents": documents, "signals": storage.path(made.output("signals").path),
              "perplexity_cutoffs": storage.path(cut.output("cutoffs").path)}
    marks = execute(storage, StageTask("select", 1, "crawl/part-one", config, {}, {
        name: InputRef((path,), "") for name, path in inputs.items()}, {"seed": 0, "crawled": ["crawl"]}), select)
    rows = read_table(storage.path(marks.output("decisions").path)).to_pylist()
    assert [r["perplexity_bucket"] for r in rows] == ["head"] * 3 + ["middle"] * 3 + ["tail"] * 4 + [None] * 3
    assert [r["reason"] for r in rows] == [None] * 6 + ["perplexity_tail"] * 4 + [None] * 3
    assert rows[9]["value"] == found[9]
    assert rows[9]["threshold"] == pytest.approx(table["middle"][0].as_py())
    assert "perplexity" in signal_names(storage.path(""))
    assert np.isnan(read_values(storage.path(""), "perplexity").values).sum() == 3


def test_given_cutoffs_win_and_other_languages_stay() -> None:
    cut = pa.table([["en"], pa.array([10.0], pa.float32()), pa.array([20.0], pa.float32()), [0]],
                   schema=PERPLEXITY_CUTOFFS)
    values = np.array([9.0, 10.0, 19.5, 20.0, 5.0, np.nan], np.float32)
    languages = pa.array(["en", "en", "en", "en", "de", "en"])
    assert buckets(values, languages, cut)[0].to_pylist() == ["head", "middle", "middle", "tail", None, None]
    reason, edge = unwanted(values, languages, cut, [Bucket.HEAD])
    assert reason.to_pylist() == [None, "perplexity_middle", "perplexity_middle", "perplexity_tail", None, None]
    assert edge[1:4].tolist() == [10.0] * 3
    with pytest.raises(ValidationError, match="do not rise"):
        PerplexityCuts(cutoffs={"en": (30.0, 20.0)})
