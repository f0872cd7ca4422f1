"""Every shell and Python block of README and of the tutorial, run as it stands, from the first to the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of, own_texts, run_block
from tests.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]


@pytest.mark.docs
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page)
    assert blocks
    own_texts(tmp_path)
    for block in blocks:
        run_block(block, tmp_path)
