"""Recipes to begin from are recipes; packaged ones are explained by what they say themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from manifests.errors import RecipeError
from pipelines.cli.main import app
from pipelines.loading import load_recipe, packaged_recipes
from pipelines.missing import require_files
from pipelines.running import Settings, run
from pipelines.starting.recipes import STARTS, explain_recipe, recipe_text, start


@pytest.mark.parametrize("kind", STARTS)
def test_what_one_begins_from_is_a_commented_recipe(kind: str, tmp_path: Path) -> None:
    value = {"texts": "a \"b\"/*.jsonl", "archives": "c/*.warc.gz", "commoncrawl": "CC-MAIN-2020-05"}.get(kind)
    text = start(kind, "mine", value)
    assert "# " in text
    (tmp_path / "recipe.yaml").write_text(text)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.name == "mine"
    if value is not None:
        assert value in recipe.variables.values()


def test_a_start_without_a_home_is_refused() -> None:
    with pytest.raises(RecipeError, match="one of: texts, archives"):
        start("nothing", "mine")
    with pytest.raises(RecipeError, match="did you mean 'gpt3'"):
        start("paper", "mine", paper="gtp3")


def test_packaged_recipes_explain_themselves() -> None:
    for name in packaged_recipes():
        one = explain_recipe(name)
        assert len(one.summary) > 15
        assert one.sources
        assert load_recipe(yaml.safe_load(recipe_text(name))).name == name
    listed = CliRunner().invoke(app, ["recipes", "--format", "json"])
    assert [row["recipe"] for row in json.loads(listed.output)] == packaged_recipes()
    assert CliRunner().invoke(app, ["recipes", "gpt3", "--print"]).output == recipe_text("gpt3")
    assert "--set data=…" in CliRunner().invoke(app, ["recipes", "gpt3"]).output


@pytest.mark.parametrize(("given", "command"), [
    (["--texts", "x/*.jsonl"], "curate run my recipe.yaml --output runs/mine"),
    (["--archives", "c/*.warc.gz"], "curate run my recipe.yaml --output runs/mine"),
    (["--crawl", "CC-MAIN-2020-05"],
     "curate run my recipe.yaml --set archives=0-9 --set http.contact=you@example.org --output runs/mine"),
    (["--paper", "gpt3"], "curate run my recipe.yaml --set data=DATA --output runs/mine"),
])
def test_the_first_comment_is_the_command_that_runs_it(tmp_path: Path, given: list[str], command: str) -> None:
    path = tmp_path / "recipe.yaml"
    assert CliRunner().invoke(app, ["init", str(path), *given]).exit_code == 0
    assert f"#   {command.replace('my recipe.yaml', str(path))}" in path.read_text().splitlines()


def test_init_writes_a_file_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "recipe.yaml"
    assert CliRunner().invoke(app, ["init", str(path), "--texts", "x/*.jsonl"]).exit_code == 0
    assert load_recipe(path).sources["texts"].files == ("x/*.jsonl",)
    with pytest.raises(RecipeError, match="is there already"):
        CliRunner().invoke(app, ["init", str(path), "--texts", "y"], catch_exceptions=False)
    with pytest.raises(RecipeError, match="does not say what to begin from"):
        CliRunner().invoke(app, ["init", str(tmp_path / "other.yaml")], catch_exceptions=False)
    with pytest.raises(RecipeError, match="several beginnings"):
        CliRunner().invoke(app, ["init", "--texts", "x", "--crawl", "y"], catch_exceptions=False)


def test_every_missing_file_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/text").mkdir(parents=True)
    (tmp_path / "data/text/books.jsonl.gz").write_bytes(b"")
    with pytest.raises(RecipeError) as error:
        require_files(load_recipe("gpt3"))
    lines = str(error.value).splitlines()
    assert "13 of 14 patterns match no file" in lines[0]
    assert len(lines) == 16
    assert next(line.split() for line in lines if "books" in line) == [
        "data/text/books.jsonl.gz", "there", "sources.books.files"]
    assert sum("missing" in line for line in lines) == 13


def test_the_smallest_recipe_runs_and_its_lock_file_is_that_recipe(tmp_path: Path) -> None:
    """Six lines, no classifier, no links."""
    rows = [json.dumps({"id": str(i), "text": f"Story {i}: " + " ".join(f"word{(i * j) % 97}" for j in range(60))})
            for i in range(120)]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"""name: mine
sources:
  texts: {{files: "{tmp_path}/texts.jsonl"}}
extract: {{languages: null}}
classifier: null
mixture: {{weights: {{texts: 1}}}}
""")
    loaded = load_recipe(recipe, ["pack.row_length=64", "pack.shard_tokens=4096"])
    result = run(loaded, str(tmp_path / "run"), Settings(engine="inline"))
    assert result.exit_code == 0
    again = load_recipe(tmp_path / "run/recipe.lock.yaml")
    assert again == loaded
    assert again.digest == loaded.digest
    assert run(again, str(tmp_path / "run"), Settings(engine="inline")).n_done == 0


@pytest.mark.parametrize(("flag", "says"), [("-q", ()), ("-v", ("extract: texts/part-texts-", "done in")),
                                            ("--no-progress", ("extract: 1 task done",))])
def test_a_run_says_as_much_as_is_asked_for(flag: str, says: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(json.dumps({"id": "a", "text": "One sentence of a few words. " * 5}))
    (tmp_path / "mine.yaml").write_text(start("texts", "mine", f"{tmp_path}/texts.jsonl"))
    done = CliRunner().invoke(app, ["run", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "run"), "--engine",
                                    "inline", "--until", "extract", flag])
    assert done.exit_code == 0, done.output
    assert all(words in done.output for words in says)
    assert bool(done.output) == bool(says)


def test_a_misspelt_option_of_a_source_is_guessed() -> None:
    with pytest.raises(RecipeError, match=r"did you mean .namespaces"):
        load_recipe({"name": "x", "sources": {"wiki": {"files": "x", "kind": "mediawiki",
                                                       "options": {"namespces": [0]}}},
                     "classifier": None, "mixture": {"weights": {"wiki": 1}}})


def test_check_names_sources_of_which_nothing_is_packed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "One text."}\n')
    recipe = {"name": "mine", "sources": {name: {"files": str(tmp_path / "a.jsonl")} for name in ("a", "b")},
              "classifier": None, "mixture": {"weights": {"a": 1}}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    printed = CliRunner().invoke(app, ["recipe", "check", str(tmp_path / "recipe.yaml")]).output
    assert "well-formed; 2 sources" in printed
    assert "note: the mixture gives b no weight" in printed
    printed = CliRunner().invoke(app, ["recipe", "check", str(tmp_path / "recipe.yaml"), "--set",
                                       "mixture.weights={a: 1, b: 1}"]).output
    assert "note" not in printed
