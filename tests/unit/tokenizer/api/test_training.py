"""`tokenizer.train` learns what the stages of a run learn from the same texts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tokenizer
from manifests.errors import InputError, RecipeError, StageError
from tests.unit.curate.graph_runs import run_recipe

TEXTS = [f"Text number {i} speaks of {i * 7919 % 100} things: naïve cafés, 中文, and it's {i % 7} again.\n"
         * (1 + i % 4) for i in range(300)]
STAGES = ["extract", "tokenizer/sample", "tokenizer/cutoffs", "tokenizer/counts", "tokenizer/words", "tokenizer"]


def test_the_file_is_the_one_that_a_run_learns(tmp_path: Path) -> None:
    pl.DataFrame({"text": TEXTS}).write_parquet(tmp_path / "texts.parquet")
    settings = {"vocab_size": 600, "pattern": "cl100k", "min_word_count": 2}
    run = run_recipe(tmp_path / "run", {
        "sources": {"crawl": {"files": str(tmp_path / "texts.parquet"), "kind": "table"}}, "classifier": None,
        "extract": {"identify_language": False, "signals": False}, "tokenizer": settings}, STAGES)
    stage = (run.root / run.view.output("tokenizer", "tokenizer", "tokenizer").paths[0]).read_bytes()
    made = tokenizer.train(TEXTS, 600, pattern="cl100k", min_word_count=2, out=str(tmp_path / "t.json"))
    assert made.data == stage == (tmp_path / "t.json").read_bytes()
    assert 257 < made.vocab_size < 600  # the texts have no more pairs
    assert tokenizer.train(TEXTS, 600, pattern="cl100k").data != stage


@pytest.mark.parametrize("give", [
    pl.Series, pd.Series, pa.array, lambda t: pa.array(t, pa.string_view()), lambda t: np.array(t, object), tuple,
    lambda t: [pa.array(t[i : i + 100]) for i in range(0, 300, 100)],
    lambda t: (pl.Series(t[i : i + 7]) for i in range(0, 300, 7)),
    lambda t: pa.chunked_array([t[:3], [], t[3:]])],
    ids=["polars", "pandas", "arrow", "view", "numpy", "tuple", "columns", "stream", "chunked"])
def test_texts_come_as_a_column_or_as_a_stream_of_columns(give: Callable[[list[str]], Any]) -> None:
    assert tokenizer.train(give(TEXTS), 400).data == tokenizer.train(TEXTS, 400).data


def test_threads_share_an_encoder_and_train_by_themselves() -> None:
    encoder = tokenizer.train(TEXTS, 400)
    ids, offsets = encoder.encode(TEXTS)

    def work(start: int) -> bool:
        some, bounds = encoder.encode(pa.array(TEXTS).slice(start, 100))
        return (np.array_equal(some, ids[offsets[start] : offsets[start + 100]])
                and np.array_equal(bounds, offsets[start : start + 101] - offsets[start])
                and (start % 50 > 0 or tokenizer.train(TEXTS, 400).data == encoder.data))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(0, 200, 5)))


def test_columns_of_any_library_are_encoded_alike() -> None:
    encoder = tokenizer.train(TEXTS, 400)
    ids, offsets = encoder.encode(pa.array(TEXTS))
    for given in (TEXTS, pl.Series(TEXTS), pd.Series(TEXTS), np.array(TEXTS, object)):
        other, bounds = encoder.encode(given)
        assert np.array_equal(ids, other)
        assert np.array_equal(offsets, bounds)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="one value of type str"):
        tokenizer.train("a text", 300)
    with pytest.raises(InputError, match="column of int64"):
        tokenizer.train(pa.array([1, 2]), 300)
    with pytest.raises(StageError, match="no text"):
        tokenizer.train([None, ""], 300)
    with pytest.raises(RecipeError, match=r"train\(\): vocab_size: .*256 bytes"):
        tokenizer.train(TEXTS, 200)
