"""The wheels, installed as a stranger would: the base install, and the example's plug-ins in a run of their own.

`make test-plugin` makes both environments anew; they hold the wheels of this checkout, not its sources.
"""

from __future__ import annotations

import json
import mailbox
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from manifests.version import VERSION
from tests.integration.conftest import tree
from tests.paths import ROOT

pytestmark = pytest.mark.plugin

BASE, PIPELINE = ROOT / "build/base-venv/bin", ROOT / "build/plugin-venv/bin"
WORDS = ("river", "mountain", "history", "theory", "language", "music", "century", "science", "people", "essay", "the",
         "argument", "evidence", "a", "of", "and", "to", "in", "is", "was", "for", "on", "with", "page")


def called(folder: Path, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A program of an environment, with nothing of this checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
    done = subprocess.run([str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def sentence(number: int) -> str:
    return " ".join(WORDS[(number * 7 + k * k) % len(WORDS)] for k in range(20 + number % 7)).capitalize() + "."


def page(number: int) -> bytes:
    loud = "BUY NOW " * 20 if number % 10 == 0 else ""
    html = (f"<html><head><title>no paragraph</title></head><body><h1>Page {number} of the guide</h1><nav>a menu</nav>"
            f"<p>{loud}{sentence(number)}</p><p>{sentence(number + 1)} All rights reserved.</p></body></html>")
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}".encode()
    head = (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://site{number % 9}.example/{number}\r\n"
            "WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: application/http;msgtype=response\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body + b"\r\n\r\n"


RECIPE = """
name: with-plugins
sources:
  pages: {files: pages-*.warc}
  mail: {files: "*.mbox", kind: mailbox, options: {quotes: false}}
extract: {extractor: paragraphs, extractor_parameters: {min_characters: 10}, identify_language: false}
signals:
  shouting: {parameters: {acronyms: acronyms.txt}}
classifier: null
classifiers:
  letters: {plugin: onnx, parameters: {model: model.onnx}}
select:
  rules: [{reason: shouts, signal: shouting, at_most: 0.3}]
  keep: [{rule: threshold, score: letters, threshold: 0.5}]
  filtered_sources: [pages, mail]
  edits: [{plugin: phrases, parameters: {phrases: phrases.txt, replacement: "(c)"}}]
tokenizer: {vocab_size: 300}
mixture: {weights: {pages: 3, mail: 1}, max_epochs: 4, validation_fraction: 0.1}
pack: {row_length: 64, shard_tokens: 4096}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of the recipe: two archives, a mailbox, and the files that plug-ins are given."""
    folder = tmp_path_factory.mktemp("plugins")
    for part in range(2):
        (folder / f"pages-{part}.warc").write_bytes(b"".join(page(n) for n in range(part, 120, 2)))
    box = mailbox.mbox(str(folder / "list.mbox"))
    for number in range(60):
        message = EmailMessage()
        message["Message-ID"] = f"<{number}@list.example>"
        message.set_content(f"{sentence(number + 300)}\n> {sentence(number)}\n{sentence(number + 500)}\n")
        box.add(message)
    box.close()
    (folder / "acronyms.txt").write_text("WARC\n")
    (folder / "phrases.txt").write_text("All rights reserved.\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    model = f"import sys; sys.path.insert(0, {str(ROOT / 'examples/plugin/tests')!r}); " \
            "from pathlib import Path; from test_plugins import write_model; write_model(Path('model.onnx'))"
    called(folder, PIPELINE / "python", "-c", model)
    return folder


@pytest.fixture(scope="module")
def inline(folder: Path) -> Path:
    called(folder, PIPELINE / "curate", "run", "recipe.yaml", "--engine", "inline", "--out", "inline")
    return folder / "inline"


def test_base_install_reads_and_says_what_it_lacks(folder: Path, inline: Path) -> None:
    listed = called(folder, BASE / "python", "-m", "pip", "list", "--format", "json").stdout
    assert {item["name"] for item in json.loads(listed)} <= {
        "curate-corpus", "fsspec", "numpy", "pip", "pyarrow", "setuptools", "xxhash"}
    for program in ([BASE / "curate"], [BASE / "python", "-m", "curate"]):
        done = called(folder, *program, "run", "gpt3", "--out", "nothing", check=False)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert "pip install 'curate-corpus[pipeline]'" in line
        assert called(folder, *program, "--version").stdout == f"curate {VERSION}\n"
    read = "from manifests import PackedDataset; d = PackedDataset('inline', 'train'); print(len(d), d[0].dtype)"
    n_rows, dtype = called(folder, BASE / "python", "-c", read).stdout.split()
    assert int(n_rows) > 10
    assert dtype == "uint16"


def test_the_plugins_are_listed(folder: Path) -> None:
    rows = json.loads(called(folder, PIPELINE / "curate", "plugins", "--format", "json").stdout)
    assert [(row["group"], row["name"], row["problem"]) for row in rows] == [
        ("signals", "shouting", None), ("extractors", "paragraphs", None), ("sources", "mailbox", None),
        ("scorers", "onnx", None), ("edits", "phrases", None), ("exports", "lines", None)]
    assert {f"{row['distribution']} {row['version']}" for row in rows} == {"curate-example 1.0"}
    text = called(folder, PIPELINE / "curate", "plugins").stdout
    assert "Takes the phrases of a list out of texts" in " ".join(text.split())


def test_the_plugins_do_their_work(folder: Path, inline: Path) -> None:
    script = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
rows = [row for part in sorted(Path("inline/clean").glob("*/*/part-*.parquet"))
        for row in pq.read_table(part).to_pylist()]
decisions = [row for part in sorted(Path("inline/select").glob("*/*/part-*.parquet"))
             for row in pq.read_table(part).to_pylist()]
reasons = [row["reason"] for row in decisions]
print(json.dumps({"pages": [r["text"] for r in rows if r["source"] == "pages"],
                  "mail": [r["text"] for r in rows if r["source"] == "mail"],
                  "ids": [r["record_id"] for r in rows if r["source"] == "mail"],
                  "reasons": {r or "kept": reasons.count(r) for r in set(reasons)},
                  "scores": [r["quality_letters"] for r in decisions]}))
"""
    found = json.loads(called(folder, PIPELINE / "python", "-c", script).stdout)
    assert found["reasons"]["shouts"] == 12  # a tenth of the pages
    assert found["reasons"]["kept"] > 100
    assert all(0 < score < 1 for score in found["scores"])
    assert all(text.startswith("Page ") and text.endswith("(c)") for text in found["pages"])
    assert not any("menu" in text or "no paragraph" in text or "All rights" in text for text in found["pages"])
    assert found["mail"]
    assert not any(">" in text for text in found["mail"])
    assert all(name.endswith("@list.example>") for name in found["ids"])


def test_ray_writes_the_same_bytes(folder: Path, inline: Path) -> None:
    called(folder, PIPELINE / "curate", "run", "recipe.yaml", "--workers", "2", "--out", "ray")
    assert tree(folder / "ray") == tree(inline)


@pytest.fixture
def changed_signal(folder: Path) -> Iterator[None]:
    """The installed module of one plug-in with a line more."""
    where = "import curate_example.shouting; print(curate_example.shouting.__file__)"
    module = Path(called(folder, PIPELINE / "python", "-c", where).stdout.strip())
    before = module.read_text()
    module.write_text(before + "\n# A line more.\n")
    yield
    module.write_text(before)


def stale(folder: Path) -> dict[str, list[str]]:
    done = called(folder, PIPELINE / "curate", "run", "recipe.yaml", "--out", "inline", "--dry-run", "--format", "json")
    return {row["stage"]: row["why"] for row in json.loads(done.stdout) if row["to_do"]}


def test_dry_run_names_what_a_changed_plugin_makes_stale(folder: Path, inline: Path, changed_signal: None) -> None:
    reasons = stale(folder)
    # The six share a package, so a changed file may change each of them.
    assert set(reasons) == {"extract"}
    assert all("files" in why for why in reasons["extract"])


def test_nothing_is_stale_after_a_run(folder: Path, inline: Path) -> None:
    assert stale(folder) == {}


def test_export_and_its_parameters(folder: Path, inline: Path) -> None:
    called(folder, PIPELINE / "curate", "export", "inline", "--format", "lines", "--set", "max_tokens=50",
           "--out", "lines")
    lines = [json.loads(line)["tokens"] for line in (folder / "lines/train.jsonl").read_text().splitlines()]
    facts = json.loads((folder / "lines/export.json").read_text())
    assert len(lines) == facts["lines"]["train"] > 10
    assert max(map(len, lines)) == 50
    assert facts["plugin"]["distribution"] == "curate-example"
    assert facts["not_held"] == ["the source of every token"]


def test_source_distribution_runs_its_tests(folder: Path) -> None:
    (path,) = (ROOT / "build/wheels").glob("curate_corpus-*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    source = folder / path.name.removesuffix(".tar.gz")
    collected = called(source, sys.executable, "-m", "pytest", "--collect-only", "-q").stdout
    assert sum(map(int, re.findall(r"^tests/.*\.py: (\d+)$", collected, re.MULTILINE))) > 500
    called(source, sys.executable, "-m", "pytest", "-q", "tests/unit/packaging", "tests/unit/manifests/test_tables.py")


def test_an_unknown_plugin(folder: Path) -> None:
    done = called(folder, PIPELINE / "curate", "run", "recipe.yaml", "--set", "extract.extractor=paragraph",
                  "--out", "other", check=False)
    assert done.returncode == 2
    assert "no extractor is called 'paragraph' (did you mean 'paragraphs'?" in done.stderr
    assert "Traceback" not in done.stderr
