"""What a recipe may say of classifiers and keep rules."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.recipe import Recipe

BASE: dict[str, Any] = {
    "name": "r", "mixture": {"weights": {"crawl": 1}},
    "sources": {"books": {"files": "b.jsonl", "curated": True}, "crawl": {"files": "c.warc.gz"}}}
OTHER = {"dclm": {"path": "dclm.bin", "label": "hq"}}


def test_other_classifiers_are_inputs_by_their_bytes_and_not_their_place() -> None:
    recipe = Recipe.model_validate({**BASE, "classifiers": OTHER, "select": {
        "combine": "any", "keep": [{"rule": "pareto", "alpha": 3}, {"score": "dclm", "rule": "percentile"}]}})
    assert recipe.other_files()["classifiers.dclm.path"] == ("dclm.bin",)
    assert "path" not in recipe.scoring().model_dump()["classifiers"]["dclm"]
    assert recipe.selection().filtered_sources == ("crawl",)
    assert [rule.fraction_kept for rule in recipe.select.keep] == [None, pytest.approx(0.1)]


def test_without_a_classifier_of_its_own_the_crawl_is_filtered_by_another() -> None:
    fields = {**BASE, "classifier": None, "classifiers": OTHER}
    assert Recipe.model_validate(fields).selection().filtered_sources == ()
    keep = {"keep": [{"score": "dclm", "rule": "threshold", "threshold": 0.2}]}
    assert Recipe.model_validate({**fields, "select": keep}).selection().filtered_sources == ("crawl",)


def test_language_models_and_word_lists_are_inputs_by_their_bytes() -> None:
    recipe = Recipe.model_validate({
        **BASE, "perplexity": {"models": {"en": "en.arpa"}, "pieces": {"en": "en.model"}},
        "select": {"toxic_words": {"files": ["w.txt"], "by_language": {"de": ["de.txt"]}},
                   "rules": [{"reason": "odd", "signal": "perplexity", "at_most": 9}]}})
    found = recipe.other_files()
    assert {name: found[name] for name in sorted(found)} == {
        "perplexity.models.en": ("en.arpa",), "perplexity.pieces.en": ("en.model",), "select.toxic_words": ("w.txt",),
        "select.toxic_words.de": ("de.txt",)}
    assert recipe.perplexity is not None
    assert set(recipe.perplexity.reading().model_dump()) == {"normalise", "sentence"}
    assert set(recipe.perplexity.cuts().model_dump()) == {"head", "middle", "cutoffs"}
    assert recipe.by_source().crawled() == ["crawl"]


@pytest.mark.parametrize(("fields", "said"), [
    ({"select": {"keep": [{"score": "dclm"}]}}, r"select\.keep\.0\.score: no classifier is called 'dclm'"),
    ({"classifiers": {"quality": {"path": "m.bin"}}}, "names of the run's own classifier"),
    ({"select": {"keep": [{"rule": "best"}]}}, "top_fraction"),
    ({"select": {"keep": [{"alpha": 0.3}]}}, r"multiple of 0\.25"),
    ({"classifier": {"kind": "svm"}}, "hashed_lr"),
    ({"select": {"perplexity_buckets": ["head"]}}, "needs `perplexity` with a language model"),
    ({"select": {"rules": [{"reason": "odd", "signal": "perplexity", "at_most": 9}]}}, "needs `perplexity`"),
    ({"select": {"toxic_words": {}}}, "give files"),
    ({"perplexity": {"models": {"en": "en.arpa"}, "pieces": {"de": "de.model"}}}, "no language model for 'de'")])
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Recipe.model_validate({**BASE, **fields})
