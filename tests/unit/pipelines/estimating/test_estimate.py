"""An estimate beside the run that it is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipelines
from manifests.tables import read_table
from pipelines.cli.estimate import estimate_lines
from pipelines.cli.main import app
from pipelines.estimating.estimate import Estimate, estimate
from pipelines.estimating.extrapolation import around
from pipelines.loading import load_recipe
from pipelines.recipe import Recipe

WORDS = ("river", "stone", "letter", "window", "garden", "summer", "paper", "mountain", "silver", "answer", "music")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("texts")
    with (folder / "texts.jsonl").open("w") as stream:
        for n in range(1500):
            words = [f"{WORDS[n * k % 11]}{n * k % 97}" for k in range(1, 20 + 7 * n % 60)]
            stream.write(json.dumps({"id": str(n), "text": " ".join(words)}) + "\n")
    return load_recipe({"name": "texts", "sources": {"texts": {"files": str(folder / "texts.jsonl")}},
                        "classifier": None, "extract": {"identify_language": False},
                        "tokenizer": {"vocab_size": 400}, "pack": {"row_length": 64},
                        "mixture": {"weights": {"texts": 1}, "max_epochs": 1}})


@pytest.fixture(scope="module")
def truth(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    """Tokens, and bytes on disk."""
    out = tmp_path_factory.mktemp("run") / "run"
    run = pipelines.run(recipe, out, engine="inline")
    (row,) = read_table(str(out / "packed/sources.parquet")).to_pylist()
    return row["available_tokens"], int(sum(run.status()["n_bytes"].to_pylist()))


def _near(found: Estimate, truth: tuple[int, int], most: float) -> None:
    assert found.tokens["texts"].value == pytest.approx(truth[0], rel=most)
    assert found.disk_bytes.value == pytest.approx(truth[1], rel=most + 0.1)


def test_of_everything_it_is_what_the_run_is(recipe: Recipe, truth: tuple[int, int]) -> None:
    found = estimate(recipe, share=1.0)
    assert found.share == 1
    # Documents that are held out for validation are no training tokens: one in two hundred.
    _near(found, truth, 0.01)
    assert found.dropped_as_duplicates[0] == found.dropped_as_duplicates[1]


@pytest.mark.slow
def test_of_a_fifth_it_is_near(recipe: Recipe, truth: tuple[int, int]) -> None:
    found = estimate(recipe, share=0.2, seed=3, widest=10.0, least_bytes=0)
    assert 0.15 < found.share < 0.25
    _near(found, truth, 0.15)
    assert found.seconds(4).value < found.seconds(1).value == pytest.approx(found.core_seconds.value)
    assert found.tokens["texts"].low < found.tokens["texts"].value < found.tokens["texts"].high


@pytest.mark.slow
def test_more_is_sampled_where_it_tells_too_little(recipe: Recipe) -> None:
    found = estimate(recipe, share=0.05, widest=0.0001, least_bytes=0)
    assert found.share >= 0.3


def test_what_a_person_reads() -> None:
    found = Estimate(0.1, 5_000_000, around(7200, 0.1), 2.0, around(3e9, 0.1), 500_000_000,
                     {"web": around(2e6, 0.1)}, {"web": 2.2e6}, {"web": around(1e3, 0.1)},
                     (0.01, 0.05), (4.1, 4.0), {"extract": 6000.0})
    said = "\n".join(estimate_lines(found, 4, 0.5))
    for words in ("5.0 MB of input, of which 10.0% were run", "core-hours", "money (at 0.5 a core-hour)",
                  "tokens (web)",
                  "2.2 million: the upper bound", "extract 83%", "memory of a worker"):
        assert words in said
    assert found.width < 0.25


def test_the_command(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"""
name: texts
sources: {{texts: {{files: {recipe.sources['texts'].files[0]}}}}}
classifier: null
extract: {{identify_language: false}}
tokenizer: {{vocab_size: 400}}
pack: {{row_length: 64}}
mixture: {{weights: {{texts: 1}}, max_epochs: 1}}
""")
    done = CliRunner().invoke(app, ["estimate", str(file), "--price", "2", "--workers", "3", "--format", "json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["workers"] == 3
    assert facts["money"]["value"] == pytest.approx(2 * facts["core_hours"]["value"])
    assert facts["tokens"]["texts"]["low"] <= facts["tokens"]["texts"]["value"] <= facts["tokens"]["texts"]["high"]
    for share in ("0", "2", "much"):
        assert CliRunner().invoke(app, ["estimate", str(file), "--sample", share]).exception is not None
