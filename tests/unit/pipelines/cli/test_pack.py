"""`curate pack` and `curate mix` on token files of one's own, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from manifests import PackedDataset
from manifests.errors import CurateError, OwnershipError
from manifests.tables import read_table
from pipelines.cli.main import app
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

SIZES = {"crawl": {"p0": [30, 0, 55, 2, 17] * 6, "p1": [8, 9, 100]}, "books": {"p0": [400, 350, 15, 16, 31]}}
MIXTURE = {"weights": {"crawl": 2, "books": 1}, "validation_fraction": 0.15}
PACK = {"row_length": 16, "shard_tokens": 128, "buckets": 4}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run as far as these verbs look at it."""
    root = tmp_path / "run"
    root.mkdir()
    made = SmallRun(root, seed=5)
    made.write_tokens(corpus(SIZES))
    (root / "tokenizer").mkdir()
    made.pack(MixtureConfig(**MIXTURE), PackConfig(**PACK), byte_tokenizer(root / "tokenizer/tokenizer.json"))
    recipe = {"recipe": {"name": "small", "seed": 5, "mixture": MIXTURE, "pack": PACK}}
    (root / "recipe.lock.yaml").write_text(yaml.safe_dump(recipe))
    return root


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, CurateError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def packed(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root / "packed")): p.read_bytes()
            for split in ("train", "val") for p in sorted((root / "packed" / split).glob("*.*"))}


def test_a_run_again(run: Path, tmp_path: Path) -> None:
    """With nothing else said, a run's tokens give the run's own shards; with another packing, the same tokens."""
    invoke("pack", run, "--out", tmp_path / "again")
    assert packed(tmp_path / "again") == packed(run)
    plan = json.loads(invoke("pack", run, "--packing", "best_fit", "--row-length", 32, "--out", tmp_path / "fit",
                             "--format", "json"))
    data = PackedDataset(tmp_path / "fit", "train")
    assert (data.packing, data.row_length) == ("best_fit", 32)
    documents = sum(int((row.source_ids >= 0) @ (row.cu_seqlens[1:] - row.cu_seqlens[:-1]))
                    for row in map(data.documents, range(len(data))))
    assert documents == plan["total_tokens"]


def test_folders(run: Path, tmp_path: Path) -> None:
    """Every source once, by default; NAME=DIR names it; a mixture may be given as YAML or as its file."""
    folders = [f"web={run / 'tokens/crawl'}", run / "tokens/books"]
    given = ["--tokenizer", run / "tokenizer/tokenizer.json", "--row-length", 16, "--shard-tokens", 128]
    plan = json.loads(invoke("pack", *folders, *given, "--out", tmp_path / "a", "--format", "json"))
    assert {s["name"]: s["selected_tokens"] == s["available_tokens"] for s in plan["sources"]} == {
        "web": True, "books": True}
    assert len(PackedDataset(tmp_path / "a", "val")) == 0
    mixture = "{weights: {web: 1, books: 1}, total_tokens: 500, validation_fraction: 0}"
    (tmp_path / "mixture.yaml").write_text(mixture)
    for n, text in enumerate((mixture, tmp_path / "mixture.yaml")):
        invoke("pack", *folders, *given, "--mixture", text, "--out", tmp_path / f"m{n}")
    assert packed(tmp_path / "m0") == packed(tmp_path / "m1")
    assert "0 failed" in invoke("verify", tmp_path / "m0")
    traced = json.loads(invoke("trace", tmp_path / "m0", "train/000000", 0, 3, "--format", "json"))
    assert [(fact["token"], fact["origin_path"]) for fact in traced] == [(3, None)]
    assert traced[0]["token_text"] in traced[0]["decoded"]
    assert {path.name for path in (tmp_path / "m0").iterdir()} == {"packed"}  # the same command may be given again


def test_a_source_without_a_val_split_is_named(run: Path, tmp_path: Path) -> None:
    """By source one has a val split and another none; --quiet leaves the table out, not that."""
    given = ["--tokenizer", run / "tokenizer/tokenizer.json", "--row-length", 16, "--by-source", "--quiet",
             "--mixture", "{weights: {crawl: 2, books: 1}, validation_fraction: 0.08}"]
    done = CliRunner().invoke(app, [str(a) for a in ("pack", run / "tokens/crawl", run / "tokens/books", *given,
                                                     "--out", tmp_path / "mixed")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert len(PackedDataset(tmp_path / "mixed/crawl", "val")) > 0
    assert len(PackedDataset(tmp_path / "mixed/books", "val")) == 0
    assert done.stderr.startswith("books: there is no val split, for no document was held out")
    assert "crawl" not in done.stderr


def test_a_folder_of_somebody_else_is_not_replaced(run: Path, tmp_path: Path) -> None:
    notes = tmp_path / "out/packed/notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with pytest.raises(OwnershipError, match="is no packed dataset"):
        invoke("pack", run, "--out", tmp_path / "out")
    assert notes.read_text() == "mine"
    notes.rename(tmp_path / "notes.txt")
    notes.parent.rmdir()
    for _ in range(2):  # an earlier dataset is replaced
        invoke("pack", run, "--out", tmp_path / "out")
        assert packed(tmp_path / "out") == packed(run)


def test_mix_prints_the_plan(run: Path) -> None:
    text = invoke("mix", run, "--dry-run")
    lines = text.splitlines()
    assert " ".join(lines[0].split()) == ("source target share actual share selected tokens epochs available tokens "
                                          "val tokens")
    fields = json.loads(invoke("mix", run, "--set", "mixture.total_tokens=300", "--dry-run", "--format", "json"))
    assert fields["total_tokens"] == fields["requested_tokens"] == 300
    assert {s["name"]: s["selected_tokens"] for s in fields["sources"]} == {"crawl": 200, "books": 100}


@pytest.mark.parametrize(("arguments", "message"), [
    (["pack", "{empty}", "--out", "{out}"], "holds no token parts"),
    (["pack", "{run}/tokens/books", "--out", "{out}"], "there is no such tokenizer"),
    (["pack", "{run}", "--out", "{run}"], "holds a run"),
    (["pack", "{run}", "--mixture", "[1]", "--out", "{out}"], "--mixture: must be a mapping"),
    (["pack", "{run}", "--mixture", "{{weights: {{a: -1}}}}", "--out", "{out}"], r"mixture\.weights\.a: Input should"),
    (["pack", "{run}", "--shard-tokens", "100", "--out", "{out}"], "not a multiple of row_length"),
    (["pack", "{run}", "--row-length", "0", "--out", "{out}"], "--row-length: must be at least 1"),
    (["pack", "{run}", "--tokenizer", "{other}", "--out", "{out}"], "holds tokens of another tokenizer"),
    (["mix", "{run}/tokens/books", "{run}/tokens/crawl"], "needs --dry-run"),
    (["mix", "{run}"], "needs --dry-run"),
    (["mix", "gpt3", "--dry-run"], "has no tokens to plan on"),
])
def test_what_is_refused(run: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    other = byte_tokenizer(tmp_path / "other.json", 300)
    with pytest.raises(CurateError, match=message):
        invoke(*(a.format(run=run, empty=tmp_path / "empty", out=tmp_path / "out", other=other) for a in arguments))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_tokenizer_takes_the_one_that_is_given(run: Path, tmp_path: Path) -> None:
    """No tokenizer lies beside these tokens that it could contradict."""
    small = byte_tokenizer(tmp_path / "small.json", 257)
    given = ["pack", run / "tokens/books", "--tokenizer", small, "--row-length", 16]
    told = invoke(*given, "--out", tmp_path / "a")
    assert told.splitlines()[-1].startswith("train: ")
    rows = read_table(str(tmp_path / "a/packed/manifest.parquet")).to_pylist()
    more = ["--packing", "pad", "--format", "json", "--out", tmp_path / "b"]
    facts = json.loads(invoke(*given, *more))["splits"]["train"]
    assert rows[0]["utilisation"] > facts["utilisation"] > 0
    assert (facts["dropped_tokens"], facts["n_rows"] * 16) == (0, facts["n_tokens"])


def test_mix_plans_on_folders(run: Path) -> None:
    """As `curate pack` takes them: every source once, or a mixture that is given."""
    folders = [f"web={run / 'tokens/crawl'}", run / "tokens/books"]
    plan = json.loads(invoke("mix", *folders, "--dry-run", "--format", "json"))
    assert [(s["name"], s["selected_tokens"] == s["available_tokens"]) for s in plan["sources"]] == [
        ("books", True), ("web", True)]
    plan = json.loads(invoke("mix", *folders, "--mixture", "{weights: {web: 3, books: 1}, total_tokens: 400}",
                             "--dry-run", "--format", "json"))
    assert [s["selected_tokens"] for s in plan["sources"]] == [100, 300]
    assert invoke("mix", run / "tokens/books", "--dry-run").splitlines()[1].split()[0] == "books"
