"""Leaks of real evaluation sets in real pages: every one is cut, and every cut is one."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.benchmarks.decontamination_truth import measure
from tests.paths import DATA


@pytest.mark.slow
def test_every_planted_leak_is_cut_and_every_cut_is_confirmed(tmp_path: Path) -> None:
    root = DATA
    pages = root / "extraction/dev.parquet"
    if not pages.exists() or not (root / "benchmarks").exists():
        pytest.skip(f"real pages and evaluation sets are not here: {root}")
    texts = pq.read_table(pages, columns=["gold"])["gold"].to_pylist()
    truth = measure(texts, root, tmp_path)
    assert truth.planted > 300
    assert truth.missed == 0
    assert truth.cuts >= truth.planted
    assert truth.wrong == 0
