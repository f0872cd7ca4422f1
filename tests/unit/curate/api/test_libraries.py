"""In the maps of other libraries, batch by batch, functions give what they give for all rows at once."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import datasets
import polars as pl
import pyarrow as pa
import pytest

import curate


@pytest.fixture(scope="module")
def pages(documents: pa.Table) -> pa.Table:
    return documents.select(["url", "text"])


@pytest.mark.parametrize("n_processes", [None, 2])
def test_in_datasets(pages: pa.Table, tmp_path: Path, n_processes: int | None) -> None:
    given = datasets.Dataset(pages)
    kept = given.map(_filtered, batched=True, batch_size=17, num_proc=n_processes,
                     cache_file_name=str(tmp_path / "kept.arrow"))
    assert kept.to_dict() == curate.filter(pages, "fineweb").to_pydict()
    known = given.map(_languages, batched=True, batch_size=10, num_proc=n_processes,
                      cache_file_name=str(tmp_path / "languages.arrow"))
    assert known["language"][:] == curate.identify_language(pages["text"])["language"].to_pylist()


def test_in_processes_that_are_forked(pages: pa.Table) -> None:
    pl.DataFrame(pages).filter(pl.col("text").str.contains("a"))  # starts threads, which a fork leaves behind
    expected = [work(pages) for work in _TOGETHER]
    with get_context("fork").Pool(2) as pool:
        for work, result in zip(_TOGETHER, expected, strict=True):
            assert pool.apply_async(work, (pages,)).get(timeout=120) == result


def _unique(table: pa.Table) -> list[str]:
    return list(curate.deduplicate(table)["url"].to_pylist())


def _clean(table: pa.Table) -> list[str]:
    return list(curate.decontaminate(table, {"quiz": table["text"][:3]}, max_documents=1)["text"].to_pylist())


_TOGETHER = (_unique, _clean)


def _filtered(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    return dict(curate.filter(batch, "fineweb").to_pydict())


def _languages(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    return dict(curate.identify_language(batch["text"]).to_pydict())


def test_in_polars(pages: pa.Table) -> None:
    frame = pl.DataFrame(pages)
    scored = frame.with_columns(pl.col("text").map_batches(
        lambda texts: pl.Series(curate.signals(texts)["signal_n_words"]), return_dtype=pl.Float32).alias("n_words"))
    assert scored["n_words"].to_list() == curate.signals(pages["text"])["signal_n_words"].to_pylist()
    assert pl.DataFrame(curate.filter(frame, "gopher")).equals(pl.DataFrame(curate.filter(pages, "gopher")))


@pytest.mark.ray
def test_in_ray_data(pages: pa.Table) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        given = ray.data.from_arrow([pages.slice(start, 30) for start in range(0, len(pages), 30)])
        for form in ("pyarrow", "pandas", "numpy"):
            kept = given.map_batches(lambda batch: curate.filter(batch, "fineweb"), batch_format=form, batch_size=20)
            rows = sorted((row["url"], row["text"]) for row in kept.take_all())
            expected = curate.filter(pages, "fineweb")
            assert rows == sorted(zip(expected["url"].to_pylist(), expected["text"].to_pylist(), strict=True))
    finally:
        ray.shutdown()
