"""`curate extract` on files of every kind, good and bad."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from manifests.errors import RecipeError
from pipelines.cli.main import app

PAGE = f"<html><body><article>{'<p>The harbour was quiet, and nobody spoke of it.</p>' * 4}</article></body></html>"
OFF = "identify_language: false\nsignals: false\n"


def warc(url: str, body: bytes, kind: str = "response") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body if kind == "response" else body
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


def run(tmp_path: Path, *arguments: str, config: str = OFF) -> Result:
    (tmp_path / "config.yaml").write_text(config)
    return CliRunner().invoke(app, ["extract", *arguments, "--out", str(tmp_path / "out"), "--config",
                                    str(tmp_path / "config.yaml")], catch_exceptions=False)


def texts(tmp_path: Path, part: str) -> list[str]:
    found: list[str] = pq.read_table(tmp_path / f"out/part-{part}.parquet")["text"].to_pylist()
    return found


def make_inputs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/pages.warc.gz").write_bytes(
        warc("http://x.org/1", PAGE.encode()) + warc("http://x.org/2.pdf", PAGE.encode()))
    (tmp_path / "in/texts.warc.wet.gz").write_bytes(warc("http://x.org/3", b"A text.", "conversion"))
    (tmp_path / "in/lines.jsonl").write_text('{"key": "a", "body": "one"}\n{broken\n{"key": "b", "body": "two"}\n')
    pq.write_table(pa.table({"key": [7], "body": ["three"]}), tmp_path / "in/rows.parquet")
    (tmp_path / "in/book.txt").write_text("A book.")


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.ray)])
def test_every_kind_of_file_becomes_a_part(tmp_path: Path, workers: str) -> None:
    make_inputs(tmp_path)
    done = run(tmp_path, str(tmp_path / "in"), "--workers", workers, "--id-column", "key", "--text-column", "body",
               "--format", "json", "--source", "mine")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["files"], facts["failed"], facts["documents"], facts["dropped_url_extension"]) == (5, [], 6, 1)
    assert "lines.jsonl: at 1: line 2 is not JSON" in done.stderr
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")) == sorted(
        f"part-{name}.parquet" for name in ("pages", "texts", "lines", "rows", "book"))
    assert texts(tmp_path, "texts") == ["A text."]
    assert texts(tmp_path, "lines") == ["one", "two"]
    assert texts(tmp_path, "rows") == ["three"]
    table = pq.read_table(tmp_path / "out/part-pages.parquet").to_pylist()
    assert (table[0]["source"], table[0]["origin_path"], table[0]["url"]) == ("mine", "pages.warc.gz", "http://x.org/1")
    decided = pq.read_table(tmp_path / "out.decisions/part-pages.parquet").to_pylist()
    assert [(e["url"], e["keep"], e["reason"]) for e in decided] == [
        ("http://x.org/1", True, None), ("http://x.org/2.pdf", False, "url_extension")]


def test_unreadable_files_are_named_and_the_others_done(tmp_path: Path) -> None:
    make_inputs(tmp_path)
    (tmp_path / "in/empty.warc.gz").write_bytes(b"")
    (tmp_path / "in/false.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RecipeError, match=r"absent\.warc"):
        run(tmp_path, str(tmp_path / "in"), str(tmp_path / "absent.warc"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.yaml", "in"]
    done = run(tmp_path, str(tmp_path / "in"), "--workers", "1", "--text-column", "body", "--format", "json")
    assert done.exit_code == 1
    bad = ["empty.warc.gz", "false.parquet"]
    assert [Path(p).name for p in json.loads(done.stdout)["failed"]] == bad
    for name in bad:
        assert name in done.stderr
        assert not list((tmp_path / "out").glob(f"part-{name.split('.')[0]}*"))
    assert texts(tmp_path, "texts") == ["A text."]


def test_bad_settings_are_usage_errors(tmp_path: Path) -> None:
    make_inputs(tmp_path)
    for arguments, config in ((["--extractor", "magic"], OFF), ([], "max_html_depth: 1"),
                              ([], "no_such_field: 1"), ([], "- a list")):
        with pytest.raises(RecipeError):
            run(tmp_path, str(tmp_path / "in"), *arguments, config=config)
    assert not (tmp_path / "out").exists()


def test_dumps_are_known_by_their_content_or_named(tmp_path: Path) -> None:
    (tmp_path / "wiki.xml").write_text(
        "<mediawiki><page><title>Tide</title><ns>0</ns><revision><text>It "
        "''rises''.</text></revision></page></mediawiki>")
    (tmp_path / "paper.tex").write_text("\\documentclass{a}\\begin{document}\\section{One}Text.\\end{document}")
    assert run(tmp_path, str(tmp_path / "wiki.xml")).exit_code == 0
    assert texts(tmp_path, "wiki") == ["# Tide\n\nIt rises."]
    done = CliRunner().invoke(app, ["extract", str(tmp_path / "paper.tex"), "--kind", "arxiv", "--out",
                                    str(tmp_path / "papers"), "--config", str(tmp_path / "config.yaml")])
    assert done.exit_code == 0
    assert pq.read_table(tmp_path / "papers/part-paper.parquet")["text"].to_pylist() == ["\\section{One}Text."]


def test_a_kind_that_is_none_is_a_mistake_of_usage(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}')
    with pytest.raises(RecipeError, match="no source kind is called 'papers'"):
        run(tmp_path, str(tmp_path / "a.jsonl"), "--kind", "papers")
