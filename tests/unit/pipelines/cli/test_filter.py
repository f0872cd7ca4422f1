"""`curate filter` on files of every kind, and `curate tune` on what a run has stored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.heuristics.computed import signals
from curate.heuristics.signals import SIGNAL_FIELDS
from curate.heuristics.tuning import at_threshold, histogram, read_values
from manifests.errors import CurateError, InputError, RecipeError
from manifests.schema import DOCUMENTS
from manifests.tables import write_table
from pipelines.cli.main import app
from tests.arpa_models import arpa_text, estimate

PAGE = (
    "Lorries queue at the gate before dawn. Their drivers talk, smoke and wait for the bell that lets them in [3].\n"
    "JavaScript is needed to see this page.\n"
    "By noon the yard is empty and the office is counting what came, what was missing, and who must be told.\n"
    "Home\n"
    "It has been so since the war, when the first crane was raised. Nobody remembers who paid for it. The records "
    "burned with the rest of the street, and those that could be saved have never been read.")


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_one_part_a_file_rows_in_order_and_text_edited(tmp_path: Path) -> None:
    rows = [{"key": i, "body": text} for i, text in enumerate([PAGE, "too short", PAGE + " #" * 40, ""])]
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    table = pa.table({"doc_id": pa.array([b"\x01" * 16], pa.binary(16)), "text": [PAGE]})
    write_table(str(source / "b.parquet"), table.schema, [table])
    out = tmp_path / "out"
    facts = json.loads(invoke("filter", str(source / "a.jsonl.gz"), "--preset", "fineweb", "--out", str(out),
                              "--id-column", "key", "--text-column", "body", "--format", "json"))
    assert facts["documents"] == 4
    assert facts["kept"] == 1
    assert facts["dropped"] == {"gopher_too_few_words": 2, "gopher_top_3_gram": 1}
    part = pl.read_parquet(tmp_path / "out.decisions/part-a.parquet")
    signals_ = [f.name for f in SIGNAL_FIELDS]
    assert part.columns == ["key", "doc_id", "keep", "reason", "value", "threshold", "edits", *signals_]
    assert part["key"].to_list() == ["0", "1", "2", "3"]
    assert part["reason"].to_list() == [None, "gopher_too_few_words", "gopher_top_3_gram", "gopher_too_few_words"]
    assert part["value"].to_list()[1::2] == [2, 0]
    assert part["threshold"].to_list()[1::2] == [50, 50]
    kept = pl.read_parquet(out)
    assert kept.columns == ["key", "body", "doc_id", *signals_, "edits"]
    assert kept.select("key", "body").rows() == [
        (0, "\n".join(line for line in PAGE.split("\n") if "Java" not in line and line != "Home").replace("[3]", ""))]
    spans = kept["edits"].to_list()[0]
    assert "".join(PAGE[s["start"] : s["end"]] for s in spans if s["replacement"] is None) == kept["body"][0]
    assert sorted(p.name for p in out.iterdir()) == ["part-a.parquet"]
    plain = tmp_path / "plain"
    invoke("filter", str(source / "b.parquet"), "--out", str(plain), "--threshold", "gopher_too_few_words=1000")
    assert pl.read_parquet(tmp_path / "plain.decisions/part-b.parquet").row(0)[:4] == (
        "01" * 16, b"\x01" * 16, False, "gopher_too_few_words")
    assert len(pl.read_parquet(plain / "part-b.parquet")) == 0


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.jsonl"
    page.write_text(json.dumps({"id": "a", "text": PAGE}))
    out = ["--out", str(tmp_path / "out")]
    for arguments, error in ((["--preset", "none"], RecipeError), (["--words", "spacy"], RecipeError),
                             (["--threshold", "c4_few_sentences=1"], RecipeError), (["--threshold", "x"], RecipeError),
                             (["--text-column", "body"], InputError)):
        with pytest.raises(error) as caught:
            invoke("filter", str(page), *out, *arguments)
        assert isinstance(caught.value, CurateError)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    for path, kind in ((broken, InputError), (tmp_path / "missing.jsonl", RecipeError)):
        with pytest.raises(kind, match=path.name):
            invoke("filter", str(path), *out)
    assert not list((tmp_path / "out").glob("*.p*"))


@pytest.fixture
def finished(tmp_path: Path) -> str:
    """A run with 300 documents in two parts, the number of whose words is 0 to 299."""
    schema = pa.schema([*DOCUMENTS, *SIGNAL_FIELDS])
    for part, (first, last) in enumerate(((0, 100), (100, 300))):
        texts = pa.array(["word " * i for i in range(first, last)], pa.large_string())
        n = len(texts)
        columns = {
            "doc_id": pa.array([i.to_bytes(16, "big") for i in range(first, last)], pa.binary(16)), "text": texts,
            "source": pa.repeat("crawl", n), "origin_path": pa.repeat("x", n), "origin_offset": np.arange(n),
            "origin_length": np.arange(n), "n_bytes": np.arange(n)}
        found = signals(texts)
        arrays = [columns[f.name] if f.name in columns else found[f.name] if f.name in found.column_names
                  else pa.nulls(n, f.type) for f in schema]
        folder = tmp_path / "run/extract/crawl"
        folder.mkdir(parents=True, exist_ok=True)
        tables = [pa.Table.from_arrays(arrays, schema=schema)]
        write_table(str(folder / f"part-{part}.parquet"), schema, [t.slice(i, 64) for t in tables
                                                                   for i in range(0, n, 64)])
    return str(tmp_path / "run")


def test_tune_tells_what_a_threshold_drops_and_shows_both_sides(finished: str) -> None:
    facts = json.loads(invoke("tune", finished, "--signal", "n_words", "--threshold", "150", "--format", "json"))
    assert facts["documents"] == 300
    assert facts["dropped_by_at_least"] == 150
    assert facts["dropped_by_at_most"] == 149
    assert [e["value"] for e in facts["examples"]["below"]] == [149, 148, 147]
    assert [e["value"] for e in facts["examples"]["above"]] == [150, 151, 152]
    assert facts["examples"]["above"][0]["doc_id"] == (150).to_bytes(16, "big").hex()
    assert sum(b["documents"] for b in facts["histogram"]) == 300
    assert "n_words" in invoke("tune", finished)
    assert "at_most 10 drops 289 (96.33%)" in invoke("tune", finished, "--signal", "n_words", "--threshold", "10")
    with pytest.raises(InputError, match="no signal 'x'"):
        read_values(finished, "x")
    with pytest.raises(InputError, match="no such folder"):
        read_values(str(Path(finished) / "none"), "n_words")


def test_histograms_of_nothing_and_of_one_value(finished: str) -> None:
    assert histogram(np.array([], np.float32)) == []
    assert histogram(np.full(5, np.nan, np.float32)) == []
    assert histogram(np.ones(5, np.float32)) == [{"from": 1.0, "to": 1.0, "documents": 5}]
    found = read_values(finished, "hash_to_word_ratio")
    assert at_threshold(found, 0.0)["dropped_by_at_least"] == 0


def test_signals_that_need_a_model_or_a_list_are_columns_for_rules(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.arpa").write_text(arpa_text(*estimate([["the", "bell", "rang"], ["the", "yard"]], 2)), "utf-8")
    (tmp_path / "bad.txt").write_text("Bell\nempty office\n", "utf-8")
    texts = ["The bell rang", "the yard", "rang bell the the", "empty office here", ""]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"id": i, "text": t}) for i, t in enumerate(texts)))
    (tmp_path / "rules.yaml").write_text(
        "preset: gpt3\nrules:\n- {reason: odd, signal: perplexity, at_most: 6.5}\n"
        "- {reason: rude, signal: toxic_word_fraction, at_most: 0.3}\n")
    given = ("--perplexity-model", str(tmp_path / "m.arpa"), "--toxic-words", str(tmp_path / "bad.txt"))
    texts_, rules, out = (str(tmp_path / name) for name in ("t.jsonl", "rules.yaml", "o"))
    invoke("filter", texts_, "--rules", rules, "--out", out, *given)
    part = pl.read_parquet(tmp_path / "o.decisions/part-t.parquet")
    third = np.float32(1 / 3)
    assert part["signal_toxic_word_fraction"].to_list() == [third, 0, 0.25, np.float32(2 / 3), 0]
    odd = part["signal_perplexity"].to_list()
    assert odd[4] is None
    assert odd[1] < odd[0] < 6.5 < odd[2]
    assert part["reason"].to_list() == ["rude", None, "odd", "odd" if odd[3] > 6.5 else "rude", None]
    with pytest.raises(RecipeError, match="needs `perplexity`"):
        invoke("filter", texts_, "--rules", rules, "--out", out)
    with pytest.raises(RecipeError, match="--perplexity-model"):
        invoke("filter", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "o"), "--pieces", str(tmp_path / "bad.txt"))


def test_a_file_that_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    good, cut = tmp_path / "good.jsonl", tmp_path / "cut.parquet"
    good.write_text('{"id": "a", "text": "one two three"}\n')
    cut.write_bytes(b"PAR1 and no more")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["filter", str(cut), str(good), "--out", str(out), "--format", "json"])
    assert result.exit_code == 1
    assert [p.name for p in out.iterdir()] == ["part-good.parquet"]
