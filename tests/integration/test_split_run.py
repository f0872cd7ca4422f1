"""A run whose archives are split keeps the documents of one whose archives are whole, and becomes that one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.part_paths import files_in
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from pipelines.verification import verify_run
from tests.integration.conftest import tree


def _rows(run: Path, stage: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in files_in(str(run / stage / "crawl")) if "part-" in path)


def test_split_archives_end_in_the_same_documents(small_demo: tuple[Path, Result], small_web: Path,
                                                  recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    whole, out = small_demo[0], tmp_path / "run"
    result = run(recipe_of(small_web, "sources.crawl.split_bytes=65536"), str(out), Settings(engine="inline"))
    assert result.exit_code == 0
    assert len(result.view.tasks("extract")) > len(small_demo[1].view.tasks("extract"))
    for stage in ("extract", "select", "clean"):
        assert _rows(out, stage) == _rows(whole, stage)
    for name in ("classifier/model.bin", "tokenizer/tokenizer.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert [finding for finding in verify_run(str(out)) if finding.problem] == []
    run(recipe_of(small_web), str(out), Settings(engine="inline"))
    assert tree(out) == tree(whole)
