"""Repeated passages in a whole run: what is cut is told, and partitions, kills and the cuts' own settings change
nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from curate.why import explain
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from tests.integration.conftest import tree

MakeRecipe = Callable[..., Recipe]
ON = ("dedup.paragraphs={}", "dedup.sentences={}", "dedup.bloom={filters: 2}")


@pytest.fixture(scope="module")
def cut_run(small_web: Path, recipe_of: MakeRecipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("cut") / "run"
    return out, run(recipe_of(small_web, *ON), str(out), Settings("inline", until="clean"))


def _table(out: Path, folder: str) -> pl.DataFrame:
    paths = [p for p in sorted((out / folder).glob("*/*/part-*.parquet")) if p.parents[1].name != "boilerplate"]
    return pl.concat([pl.read_parquet(p) for p in paths])


@pytest.mark.timeout(600)
def test_what_is_cut_is_not_in_the_clean_corpus_and_is_told(cut_run: tuple[Path, Result]) -> None:
    out, result = cut_run
    counters = result.view.counters("dedup/passage_decisions")
    assert counters["removed_spans_paragraph"] > 30
    decisions = _table(out, "dedup/passage_decisions")
    assert decisions["keep"].sum() == counters["kept"]
    kept = decisions.filter(pl.col("keep") & pl.col("removed_spans").is_not_null())
    texts = {row["doc_id"]: row["text"].encode() for row in _table(out, "extract").filter(
        pl.col("doc_id").is_in(kept["doc_id"].implode())).iter_rows(named=True)}
    clean = {row["parent_id"] or row["doc_id"]: row for row in _table(out, "clean").iter_rows(named=True)}
    assert kept.height > 15
    for row in kept.iter_rows(named=True):
        text = texts[row["doc_id"]]
        left = b"".join(text[e["start"] : e["end"]] for e in row["edits"])
        gone = bytearray(text)
        for cut in row["removed_spans"]:
            gone[cut["start"] : cut["end"]] = b"\x00" * (cut["end"] - cut["start"])
        assert left == gone.replace(b"\x00", b"")
        assert not left.endswith(b"\n")
        if row["doc_id"] in clean and clean[row["doc_id"]]["parent_id"] is None:
            assert clean[row["doc_id"]]["text"].encode() == left
    one = next(row for row in kept.iter_rows(named=True) if any(c["duplicate_of"] for c in row["removed_spans"]))
    (told,) = [d for d in explain(str(out), one["doc_id"].hex())[0].decisions if d.stage == "dedup/passages"]
    assert told.verdict == "kept"
    assert told.facts["repeated_passages"] == len(one["removed_spans"])
    first_in = {c["duplicate_of"] for c in one["removed_spans"]} - {None}
    assert {bytes.fromhex(i) for i in told.facts["first_in"]} == first_in


@pytest.mark.timeout(600)
def test_partitions_change_no_clean_byte_and_a_rule_makes_no_signature_again(
        cut_run: tuple[Path, Result], small_web: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "run"
    shutil.copytree(cut_run[0], out)
    before = {p: p.stat().st_mtime_ns for p in (out / "dedup/signatures").rglob("part-*.parquet")}
    other = recipe_of(small_web, *ON, "dedup.min_left_bytes=0", "dedup.paragraphs={min_bytes: 30}")
    again = run(other, str(out), Settings("inline", until="clean"))
    assert again.n_done > 0
    assert {p: p.stat().st_mtime_ns for p in (out / "dedup/signatures").rglob("part-*.parquet")} == before
    fresh = tmp_path / "fresh"
    run(recipe_of(small_web, *ON, "dedup.partitions=3", "dedup.min_left_bytes=0", "dedup.paragraphs={min_bytes: 30}"),
        str(fresh), Settings("inline", until="clean"))
    for folder in ("dedup/passage_decisions", "clean"):
        mine, theirs = tree(out / folder), tree(fresh / folder)
        assert {k: v for k, v in mine.items() if "manifest" not in k} == {
            k: v for k, v in theirs.items() if "manifest" not in k}


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize(("place", "point"), [("dedup/passages", "staged"), ("dedup/removed_spans", "named"),
                                              ("dedup/bloom", "staged"), ("dedup/passage_decisions", "named")])
def test_a_kill_in_each_step_ends_in_the_same_bytes(place: str, point: str, cut_run: tuple[Path, Result],
                                                    small_web: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "tests.integration.killed_run", str(small_web), str(out), place, point, *ON]
    assert subprocess.run(words, capture_output=True, check=False, timeout=600).returncode == -signal.SIGKILL
    run(recipe_of(small_web, *ON), str(out), Settings("inline", until="clean"))
    # The killed run was on its way to packed shards: it may have made what `until` leaves out.
    left_out = ("decontaminate/report_index/", "classifier/metrics/")
    made = {k: v for k, v in tree(out).items() if not k.startswith(left_out)}
    assert made == tree(cut_run[0])
    assert not (out / ".tmp").exists()
