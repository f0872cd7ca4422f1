"""A run as an object answers what its files hold, and the command line prints the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from manifests.dataset import PackedDataset
from manifests.errors import InputError, RecipeError
from manifests.hashing import id_words, keyed_hash
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines import Run
from pipelines.running import Result
from pipelines.summary import FUNNEL, funnel_row
from tests.verbs import verb

DECIDING = {"select": "select", "dedup": "dedup/decisions", "decontaminate": "decontaminate"}


@pytest.fixture(scope="module")
def run(small_demo: tuple[Path, Result]) -> Run:
    return Run(small_demo[0])


def _kept(folder: Path, stage: str) -> list[bytes]:
    """doc_ids that a stage's decisions keep, by part."""
    ids: list[bytes] = []
    for path in sorted((folder / DECIDING[stage]).glob("*/*/part-*.parquet"), key=lambda p: (p.parents[1], p.name)):
        if path.parents[1].name in ("crawl", "reference"):
            ids += [row["doc_id"] for row in read_table(str(path), ["doc_id", "keep"]).to_pylist() if row["keep"]]
    return ids


def test_status_and_funnel_are_tables(small_demo: tuple[Path, Result], run: Run) -> None:
    folder, result = small_demo
    status = {row["stage"]: row for row in run.status().to_pylist()}
    assert status["extract"]["done"]
    assert status["extract"]["tasks"] == len(result.view.tasks("extract"))
    rows = run.funnel().to_pylist()
    expected = [funnel_row(stage, result.view.counters(stage)) for stage in FUNNEL if result.view.tasks(stage)]
    assert [(row["stage"], row["documents"], row["kept"]) for row in rows] == [
        (row["stage"], row["documents"], row["kept"]) for row in expected]
    assert [{d["reason"]: d["documents"] for d in row["dropped"]} for row in rows] == [
        {reason: n for reason, n in row["dropped"].items() if n} for row in expected]
    printed: Any = verb("status", str(folder))
    assert printed == [run.describe()]
    assert repr(run) == f"Run({str(folder)!r}, recipe 'demo')"


@pytest.mark.parametrize("stage", DECIDING)
def test_documents_are_those_that_a_stage_leaves(small_demo: tuple[Path, Result], run: Run, stage: str) -> None:
    reader = run.documents(stage, columns=["doc_id", "url", "text"])
    assert reader.schema.names == ["doc_id", "url", "text"]
    ids = [doc_id for batch in reader for doc_id in batch["doc_id"].to_pylist()]
    assert ids == _kept(small_demo[0], stage)
    assert len(ids) > 100


def test_documents_of_stages_that_write_them(small_demo: tuple[Path, Result], run: Run) -> None:
    clean = pl.DataFrame(run.documents(columns=["doc_id", "source", "text"]))
    assert len(clean) == small_demo[1].view.counters("clean")["documents"]
    linked = pl.DataFrame(run.documents("clean", source="webtext", columns=["source"]))
    assert len(linked) == clean["source"].to_list().count("webtext") > 0
    assert run.documents("extract", source="reference").read_all().num_rows < run.documents(
        "extract").read_all().num_rows == small_demo[1].view.counters("extract")["documents"]


def test_decisions_are_what_why_prints(small_demo: tuple[Path, Result], run: Run) -> None:
    url = run.documents("clean", source="crawl", columns=["url"]).read_all()["url"][0].as_py()
    histories = run.decisions(url)
    printed: Any = verb("why", str(small_demo[0]), url)
    assert [history.to_json() for history in histories] == printed
    assert histories[0].decisions[-1].stage in ("clean", "tokens", "packed")
    assert run.decisions(histories[0].doc_id) == histories
    assert run.decisions(url.partition("://")[2].upper() + "/") == histories
    with pytest.raises(InputError):
        run.decisions(url.partition("://")[2].partition("/")[0])  # a host is no document


def test_samples_show_what_was_dropped(run: Run) -> None:
    near = run.sample("dedup", reason="near_duplicate", n=5).to_pylist()
    assert len(near) == 5
    assert all(row["reason"] == "near_duplicate" and row["similarity"] >= 0.8 and row["text"] for row in near)
    assert run.sample("dedup", reason="near_duplicate", n=5).to_pylist() == near
    assert run.sample("dedup", reason="near_duplicate", n=5, seed=1).to_pylist() != near
    assert len({row["reason"] for row in run.sample("select", n=200).to_pylist()}) > 1
    excluded = run.sample("extract", reason="language", n=3).to_pylist()
    assert [row["reason"] for row in excluded] == ["language"] * 3
    assert len(run.sample("dedup", reason="no such reason")) == 0
    small, large = (run.sample("select", n=n)["doc_id"].to_pylist() for n in (3, 9))
    assert large[:3] == small


def test_samples_are_those_of_lowest_hash(run: Run) -> None:
    with_reasons = pl.concat([pl.DataFrame(read_table(f"{run.path}/{f.path}", ["doc_id", "keep", "reason"]))
                              for f in StageFiles(Storage(run.path)).of("select", "decisions")])
    dropped = with_reasons.filter(~pl.col("keep") & (pl.col("reason") != "not_selected"))
    ids = dropped["doc_id"].to_list()
    keys = keyed_hash(3, "sample", id_words(pa.array(ids, pa.binary(16))))
    expected = [doc_id for _, doc_id in sorted(zip(keys.tolist(), ids, strict=True))]
    found = run.sample("select", n=25, seed=3)
    assert found["doc_id"].to_pylist() == expected[:25]
    texts = {row["doc_id"]: (row["url"], row["text"]) for row in run.documents("extract").read_all().to_pylist()}
    reasons = dict(zip(ids, dropped["reason"].to_list(), strict=True))
    assert all((row["url"], row["text"]) == texts[row["doc_id"]] and row["reason"] == reasons[row["doc_id"]]
               for row in found.to_pylist())


def test_the_dataset_is_the_packed_one(small_demo: tuple[Path, Result], run: Run) -> None:
    assert run.dataset("train").digest == PackedDataset(str(small_demo[0]), "train").digest
    assert len(run.dataset("val")) < len(run.dataset())


def test_a_row_is_traced_to_its_documents(small_demo: tuple[Path, Result], run: Run) -> None:
    origins = run.trace("train/000000", 0)
    printed: Any = verb("trace", str(small_demo[0]), "train/000000", "0")
    assert [origin.document["url"] for origin in origins] == [fact["url"] for fact in printed]
    assert run.trace("train/000000", 0, 5)[0].document == origins[0].document


def test_questions_without_an_answer_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it is not a run"):
        Run(tmp_path)
    with pytest.raises(RecipeError, match="decides about no documents: 'tokens'"):
        run.documents("tokens")
    with pytest.raises(RecipeError, match="decides about no documents: 'clean'"):
        run.sample("clean")
    with pytest.raises(InputError, match="has left nothing of source 'web'"):
        run.documents("clean", source="web")
    with pytest.raises(InputError, match="has no column 'body'"):
        run.documents("clean", columns=["body"])
    with pytest.raises(InputError, match="'dedup/substrings' has left nothing"):
        run.documents("dedup/substrings")
    with pytest.raises(InputError, match="no document or exclusion"):
        run.decisions("https://nowhere.example/")
