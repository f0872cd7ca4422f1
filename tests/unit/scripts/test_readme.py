"""README: its shortest blocks run as they stand, and its pictures are of the numbers that docs hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset as ds

from scripts.readme_images import benchmarks_svg, beside_others, funnel_svg
from tests.docs.blocks import blocks_of, own_texts, run_block
from tests.paths import ROOT

README = ROOT / "README.md"


def test_the_first_block_runs(tmp_path: Path) -> None:
    own_texts(tmp_path)
    (block, *_) = blocks_of(README)
    assert "pages.jsonl" in block.code
    run_block(block, tmp_path)
    n = ds.dataset(tmp_path / "unique").count_rows()
    assert 0 < n <= ds.dataset(tmp_path / "kept").count_rows() <= ds.dataset(tmp_path / "kept.decisions").count_rows()


def test_the_chart_is_of_the_table() -> None:
    rows = beside_others((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"))
    assert len(rows) >= 8
    svg = (ROOT / "docs" / "images" / "benchmarks.svg").read_text(encoding="utf-8")
    assert svg == benchmarks_svg(rows), "run `python -m scripts.readme_images`"
    said = README.read_text(encoding="utf-8")
    for what, times, _ in rows:
        if what in ("archive to documents", "FineWeb's filters"):
            assert f"{times:g} times" in said


def test_bars_are_as_long_as_their_numbers() -> None:
    svg = funnel_svg([("all", 200, ""), ("half & less", 100, "dropped: <b>")])
    assert 'width="210.0"' in svg
    assert 'width="105.0"' in svg
    assert "half &amp; less" in svg
    assert "&lt;b&gt;" in svg
