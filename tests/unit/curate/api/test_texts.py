"""Functions of single texts give what the stages of a run give for the same texts, whatever they are handed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import curate
from curate.classifier.scorers import load_scorer
from curate.dedup.config import DedupConfig
from curate.dedup.signing import minhash as signatures_of
from curate.sources.archives import read_archive
from curate.sources.responses import HttpPage, decode_http
from curate.sources.warc import Damage
from manifests.errors import InputError, RecipeError
from manifests.part_paths import part_name
from manifests.schema import SIGNAL_PREFIX
from tests.plugin_distribution import ENTRY_POINTS, SAMPLE, on_path, write_distribution
from tests.unit.curate.api.conftest import Ran
from tests.unit.curate.graph_runs import run_recipe

Give = Callable[[pa.Array], Any]
GIVEN: list[Give] = [
    lambda a: a, lambda a: a.cast(pa.string()), lambda a: a.cast(pa.string_view()),
    lambda a: pa.chunked_array([a[:7], a[7:7], a[7:]]), lambda a: a.dictionary_encode(),
    lambda a: pl.Series(a), lambda a: pd.Series(a.to_pylist()), lambda a: np.array(a.to_pylist(), object),
    lambda a: a.to_pylist()]
NAMES = ["large_string", "string", "string_view", "chunked", "dictionary", "polars", "pandas", "numpy", "list"]


@pytest.fixture(scope="module")
def texts(documents: pa.Table) -> pa.Array:
    """Some texts, a null and an empty one among them."""
    column = documents["text"].combine_chunks()
    return pa.concat_arrays([column[:30], pa.array([None, ""], pa.large_string()), column[30:40]])


def test_text_is_extracted_as_the_stage_does(ran: Ran, documents: pa.Table) -> None:
    stage = dict(zip(documents["url"].to_pylist(), documents["text"].to_pylist(), strict=True))
    pages: dict[str, HttpPage] = {}
    for archive in ran.archives:
        with open(archive, "rb") as stream:
            for entry in read_archive(stream, frozenset({"response"}), 1 << 24):
                if not isinstance(entry, Damage) and entry.url and entry.url in stage and entry.block is not None:
                    pages[entry.url] = page = cast(HttpPage, decode_http(entry.block, 1 << 24))
                    assert curate.extract_text(page.body, entry.url, charset=page.charset) == stage[entry.url]
    assert len(pages) == len(stage)
    plain = [url for url, page in pages.items() if page.charset is None]
    column = curate.extract_text([pages[url].body for url in plain], plain)
    assert column.to_pylist() == [stage[url] for url in plain]
    assert len(plain) > 10


def test_pages_of_every_kind() -> None:
    page = "<html><body><main><p>Grüße aus einem Dokument, das lang genug ist, um behalten zu werden.</p></main></body>"
    text = "Grüße aus einem Dokument, das lang genug ist, um behalten zu werden."
    assert curate.extract_text(page) == text
    assert curate.extract_text(page.encode("latin-1"), charset="latin-1") == text
    assert curate.extract_text([page.encode(), None]).to_pylist() == [text, None]
    assert curate.extract_text(pl.Series([page, page]), extractor="resiliparse").to_pylist() == [text, text]
    assert curate.extract_text("") == ""
    assert curate.extract_text([]).to_pylist() == []


def test_a_page_that_a_parser_must_not_see_is_named() -> None:
    deep = "<div>" * 2000 + "text"
    with pytest.raises(InputError, match=r"https://a\.example/: .*html_too_deep: 2,000, where 1,024"):
        curate.extract_text(deep, "https://a.example/")
    assert curate.extract_text([deep, "<p>a b c d e f g h i j k l m</p>"])[0].as_py() is None


def test_signals_are_those_of_the_stage(documents: pa.Table) -> None:
    table = curate.signals(documents["text"], documents["language"])
    stored = documents.select([name for name in documents.column_names if name.startswith(SIGNAL_PREFIX)])
    assert table.equals(stored)


def test_languages_are_those_of_the_stage(documents: pa.Table) -> None:
    table = curate.identify_language(documents["text"])
    assert table["language"].to_pylist() == documents["language"].to_pylist()
    assert table["language_score"].to_pylist() == documents["language_score"].to_pylist()
    assert len(set(table["language"].to_pylist())) > 1


@pytest.mark.parametrize("signature", ["affine32", "datatrove64"])
def test_signatures_are_those_that_deduplication_compares(texts: pa.Array, signature: str) -> None:
    found = curate.minhash(texts, n_permutations=32, signature=signature)
    expected = signatures_of(texts, DedupConfig(n_permutations=32, signature=signature))
    assert found.type.list_size == 32
    assert np.array_equal(np.asarray(found.flatten()).reshape(-1, 32), expected)
    assert curate.minhash([]).to_pylist() == []


def test_scores_are_those_of_the_stage(ran: Ran, documents: pa.Table, tmp_path: Path) -> None:
    model = _model(tmp_path, documents["text"].to_pylist())
    run = run_recipe(tmp_path / "run", {
        "sources": {"crawl": {"files": ran.archives}}, "extract": {"languages": None}, "classifier": None,
        "classifiers": {"taste": {"path": model}}}, ["extract", "classifier/scores"])
    parts = [part_name(output.path[18:-8]) for output in run.view.outputs("classifier/scores", "scores")]
    stage = [value for part in parts
             for value in run.table("classifier/scores", part, "scores")["quality_taste"].to_pylist()]
    assert curate.score(documents["text"], model).to_pylist() == stage
    assert len(set(stage)) > 50
    short = curate.score(documents["text"], model, max_bytes=100)
    assert short.to_pylist() != stage
    assert load_scorer(model).method == "exact"


def _model(folder: Path, texts: list[str]) -> str:
    import fasttext

    lines = folder / "lines.txt"
    lines.write_text("".join(f"__label__{'positive' if i % 2 else 'negative'} {' '.join(text.split())}\n"
                             for i, text in enumerate(texts)), encoding="utf-8")
    model = fasttext.train_supervised(str(lines), dim=8, epoch=3, thread=1, seed=1, bucket=1000, verbose=0)
    model.save_model(str(folder / "model.bin"))
    return str(folder / "model.bin")


@pytest.mark.parametrize("give", GIVEN, ids=NAMES)
def test_a_column_may_be_of_any_library(texts: pa.Array, give: Give) -> None:
    given = give(texts)
    assert curate.signals(given).equals(curate.signals(texts))
    assert curate.identify_language(given).equals(curate.identify_language(texts))
    assert curate.minhash(given).equals(curate.minhash(texts))


def test_threads_share_every_function(texts: pa.Array) -> None:
    pages = [f"<main><p>{text or ''}</p></main>" for text in texts.to_pylist()]
    def work(_: int) -> tuple[Any, ...]:
        return (curate.signals(texts), curate.identify_language(texts), curate.minhash(texts),
                curate.extract_text(pages), curate.filter(pa.table({"text": texts}), "fineweb", apply=False))
    alone = work(0)
    with ThreadPoolExecutor(8) as pool:
        for together in pool.map(work, range(16)):
            assert all(a.equals(b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("bad", ["a text", 5, [1, 2], pa.array([1]), {"text": ["a"]}, pl.DataFrame({"text": ["a"]})])
def test_what_is_no_column_of_strings_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match=r"^texts: is (one value of type|no column|a column of)"):
        curate.signals(bad)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(RecipeError, match=r"minhash\(\): n_permutations: .* \(got 1\)"):
        curate.minhash(["a"], n_permutations=1)
    with pytest.raises(RecipeError, match=r"words: .*'spacy'"):
        curate.signals(["a"], words="spacy")
    with pytest.raises(RecipeError, match="no extractor is called 'none'"):
        curate.extract_text("<p>", extractor="none")
    with pytest.raises(InputError, match="languages: has 1 rows, where texts have 2"):
        curate.signals(["a", "b"], ["en"])
    with pytest.raises(InputError, match="html: is a column of int64"):
        curate.extract_text([1, 2])
    with pytest.raises(InputError, match="no-such-model"):
        curate.score(["a"], "no-such-model.bin")


def test_an_extractor_may_be_a_plug_in(tmp_path: Path) -> None:
    write_distribution(tmp_path, "api-sample", SAMPLE, ENTRY_POINTS)
    archive = tmp_path / "page.warc"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>a page</p>"
    archive.write_bytes(b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/\r\n"
                        b"Content-Type: application/http;msgtype=response\r\n"
                        b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(http), http))
    with on_path(tmp_path):
        assert curate.extract_text("<p>a page</p>", extractor="upper") == "<P>A PAGE</P>"
        assert curate.extract_text(["<p>x</p>", "unreadable"], extractor="upper").to_pylist() == ["<P>X</P>", None]
        reader = curate.read_documents(archive, config={"extractor": "upper"})
        assert pa.Table.from_batches(list(reader))["text"].to_pylist() == ["<P>A PAGE</P>"]
        with pytest.raises(InputError, match="the page is not parsed, unreadable"):
            curate.extract_text(b"\xff", extractor="upper")
        with pytest.raises(RecipeError, match="factor"):
            curate.extract_text("<p>", extractor="upper", parameters={"factor": 2})
