from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import RecipeError
from pipelines.loading import load_recipe, packaged_recipes, validate

PLAIN: dict[str, Any] = {
    "name": "mine", "sources": {"web": {"files": "web/*.warc.gz"}, "books": {"files": "books.jsonl", "curated": True}},
    "mixture": {"weights": {"web": 3, "books": 1}}}


def test_a_short_recipe_takes_defaults() -> None:
    recipe = validate(PLAIN)
    assert recipe.select.alpha == 9
    assert recipe.dedup.threshold == 0.8
    assert recipe.by_source().rank() == {"web": 0, "books": 1}


@pytest.mark.parametrize(("change", "says"), [
    ({"dedupp": {}}, "dedupp: unknown field (did you mean 'dedup'?)"),
    ({"dedup": {"treshold": 0.8}}, "dedup.treshold: unknown field (did you mean 'threshold'?)"),
    ({"sources": {"web": {"file": "x"}}}, "sources.web.file: unknown field (did you mean 'files'?)"),
    ({"sources": {"web": {}}}, "sources.web: needs one of `files`"),
    ({"mixture": {"weights": {"web": "much"}}}, "mixture.weights.web:"),
    ({"mixture": {"weights": {"wob": 1}}}, "mixture.weights: no source is called 'wob'; sources are books, web"),
    ({"tokenizer": {"vocab_size": 100}}, "tokenizer.vocab_size: needs at least 257 entries"),
    ({"select": {"alpha": -1}}, "select.alpha:"),
    ({"pack": {"row_length": 1000}}, "pack: shard_tokens"),
    ({"sources": {"web": {"files": "x"}, "linked": {"from": "web"}}, "mixture": {"weights": {"web": 1}}},
     "sources.linked.from: a derived source needs `links`"),
    ({"sources": {"web": {"files": "x", "page_types": ["forum"]}}}, "sources.web: page_types: says"),
    ({"sources": {"web": {"files": "x"}}, "mixture": {"weights": {"web": 1}}}, "classifier: no positive examples"),
    ({"name": "No Spaces"}, "name:"),
])
def test_what_is_wrong_is_named_with_a_way_out(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validate(PLAIN | change)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_errors_come_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        validate(PLAIN | {"dedupp": 1, "select": {"alpha": -1}})
    assert "dedupp" in str(caught.value)
    assert "select.alpha" in str(caught.value)


def test_variables_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: mine\nvariables: {data: here}\nsources:\n  web: {files: '${data}/w.jsonl', curated: true}\n"
                    "mixture: {weights: {web: 1}}\n")
    assert load_recipe(str(path)).sources["web"].files == ("here/w.jsonl",)
    changed = load_recipe(str(path), ["data=/there", "dedup.threshold=0.7", "extract.languages=[en, de]"])
    assert changed.sources["web"].files == ("/there/w.jsonl",)
    assert changed.dedup.threshold == 0.7
    assert changed.extract.languages == ("en", "de")
    assert changed.variables == {"data": "/there"}


@pytest.mark.parametrize(("text", "says"), [
    ("name: [", "is not YAML"),
    ("- a", "must be a mapping"),
    ("name: x\nvariables: {data: d}\nsources: {web: {files: '${dta}/x'}}", "variable ${dta} is not declared"),
])
def test_files_that_are_no_recipe(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert says in str(caught.value)


def test_an_unknown_recipe_is_answered_with_the_known() -> None:
    with pytest.raises(RecipeError, match="did you mean 'gpt3'"):
        load_recipe("gtp3")


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_are_well_formed(name: str) -> None:
    assert load_recipe(name).name == name


def test_what_is_no_file_is_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.yaml")
    Path("loop.yaml").symlink_to("loop.yaml")
    Path("folder.yaml").mkdir()
    Path("demo").mkdir()
    with open("long.yaml", "wb") as stream:
        stream.truncate((1 << 24) + 1)
    for name, says in (("pipe.yaml", "no regular file"), ("folder.yaml", "no regular file"), ("long.yaml", "bytes"),
                       ("loop.yaml", "cannot be read"), ("/dev/zero", "no regular file"),
                       ("x" * 5000, "no such recipe"),
                       ("a\0b", "no such recipe"), ("", "no such recipe")):
        with pytest.raises(RecipeError, match=says):
            load_recipe(name)
    assert load_recipe("demo").name == "demo"


def test_an_override_that_no_field_lies_as_deep_as() -> None:
    with pytest.raises(RecipeError, match="no field lies so deep"):
        load_recipe("demo", ["." * 5000 + "=1"])


def test_an_override_without_a_value() -> None:
    with pytest.raises(RecipeError, match="has no '='"):
        load_recipe("gpt3", ["select.alpha"])


@pytest.mark.parametrize(("override", "says"), [
    ("select.rules.preset=fineweb2", "select.rules.preset: no such name: 'fineweb2' (did you mean 'fineweb'? one of: "),
    ("select.rules.thresholds={gopher_few_words: 3}", "no such name: 'gopher_few_words' (did you mean "),
    ("vocab_size=3", "vocab_size: unknown field (did you mean tokenizer.vocab_size?)"),
    ("extract.languages=[english]", "'english' is no code of a language: write ISO 639-1 or 639-3, such as en or eng;"),
    ("extract.languages=[jp]", "'jp' is no code of a language"),
    ("extract.languages=[no]", "YAML reads no, yes, on and off so: quote it"),
])
def test_what_may_have_been_meant_is_said(override: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("own", [override])
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "[key]" not in str(caught.value)


def test_codes_of_languages_pass() -> None:
    codes = ["en", "deu", "eng_Latn", "bh", "zxx", "nds"]
    assert load_recipe("own", {"extract.languages": codes}).extract.languages == tuple(codes)
    assert load_recipe("own", {"extract": {"languages": ["English"], "language_model": "m.bin"}}).extract.languages


def test_a_recipe_whose_name_lies_beside_is_meant(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine")
    with pytest.raises(RecipeError, match=r"did you mean '.*/mine\.yaml'"):
        load_recipe(str(tmp_path / "mine.yml"))
