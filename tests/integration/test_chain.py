"""Commands in a row on two real archives keep the texts that one recipe keeps, and trace back to their pages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from manifests.dataset import PackedDataset
from pipelines.cli.main import app
from pipelines.loading import validate
from pipelines.running import Settings, run
from tests.paths import DATA

CRAWL, BENCHMARKS = DATA / "crawl", DATA / "benchmarks"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CRAWL / "part-00001.warc.gz").exists(),
                                                   reason=f"no real pages in {DATA}")]


def curate(*words: str) -> None:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output


def texts(folder: Path) -> Counter[tuple[str, str]]:
    return Counter(pl.read_parquet(f"{folder}/**/*.parquet").select("url", "text").rows())


def test_the_chain_keeps_what_a_recipe_keeps(tmp_path: Path) -> None:
    a, b, c, d, e, f = (str(tmp_path / name) for name in "abcdef")
    quiz = [str(BENCHMARKS / f"{name}.jsonl.gz") for name in ("boolq", "lambada_openai")]
    curate("extract", str(CRAWL / "part-00000.warc.gz"), str(CRAWL / "part-00001.warc.gz"), "--languages", "en",
           "--out", a)
    curate("filter", a, "--preset", "fineweb", "--out", b)
    curate("dedup", b, "--out", c)
    curate("decontaminate", c, "--benchmarks", *quiz, "--out", d)
    recipe = validate({
        "name": "same", "sources": {"pages": {"files": f"{a}/*.parquet", "kind": "table"}}, "classifier": None,
        "mixture": {"weights": {"pages": 1}}, "extract": {"identify_language": False},
        "select": {"rules": {"preset": "fineweb"}}, "decontaminate": {"benchmarks": [
            {"name": Path(path).name.split(".")[0], "path": path, "fields": ["*"]} for path in quiz]}})
    run(recipe, str(tmp_path / "run"), Settings("inline", until="clean"))
    chained = texts(Path(d))
    assert chained == texts(tmp_path / "run/clean/pages")
    assert sum(chained.values()) > 500

    # What is kept says which bytes of the extracted text it is made of.
    extracted = dict(pl.read_parquet(f"{a}/*.parquet").select("doc_id", "text").rows())
    kept = pl.read_parquet(f"{d}/*.parquet")
    for doc_id, parent, text, edits in kept.select("doc_id", "parent_id", "text", "edits").rows():
        source = extracted[parent or doc_id].encode()
        assert "".join(s["replacement"] if s["replacement"] is not None else source[s["start"] : s["end"]].decode()
                       for s in edits) == text
    for folder, n in ((b, len(extracted)), (c, len(pl.read_parquet(f"{b}/*.parquet")))):
        assert len(pl.read_parquet(f"{folder}.decisions/*.parquet")) == n

    curate("tokenizer", "train", d, "--vocab-size", "8000", "--out", str(tmp_path / "tokenizer.json"))
    curate("tokenizer", "encode", d, "--tokenizer", str(tmp_path / "tokenizer.json"), "--out", e)
    curate("pack", e, "--row-length", "512", "--out", f)
    train = PackedDataset(f, "train")
    ids = {bytes(i) for row in range(0, len(train), 97) for i in train.documents(row).doc_ids
           if i is not None}
    assert ids <= set(kept["doc_id"].to_list())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a", "a.decisions", "b", "b.decisions", "c", "c.decisions", "d", "d.decisions", "d.report", "e", "f", "run",
        "tokenizer.json"]
