"""Presets and their verdicts: datatrove's own vectors, thresholds of one's own, and the first rule that fails.

The verdicts in datatrove's mode were read off datatrove 0.10.1.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from curate.heuristics.computed import signals
from curate.heuristics.config import RulesConfig
from curate.heuristics.presets import PRESETS, Preset
from curate.heuristics.reasons import RuleReason
from curate.heuristics.rules import Rule, judge
from curate.heuristics.signals import COMPUTED, Words
from manifests.errors import InputError
from scripts.filter_tables import preset_table, signal_table
from tests.judging import judge_texts
from tests.paths import ROOT

PROSE = ("The harbour was quiet that morning, and the men who had come to mend the nets sat with their backs to the "
         "wall. None of them spoke of the storm. A boy brought bread; his mother followed with a jug of water, which "
         "they passed from hand to hand. Later, when the tide had turned, two boats put out to look for the third. "
         "What they found has been told many times since, and never twice alike.")
MORE = ("Old Martin kept the light in those years, a man of few words and fewer friends, whose only visitor climbed "
        "the stairs each Sunday carrying letters nobody had asked him for. He answered all of them. Some answers "
        "survive in a tin box at the museum; others went to Canada, where a niece published them under her own name.")


def verdict(text: str, preset: str = "fineweb", words: Words = Words.DATATROVE, **fields: object) -> str | None:
    config = RulesConfig.model_validate({"preset": preset, **fields})
    (reason,) = judge_texts(config, words, pa.array([text], pa.large_string())).to_pylist()
    return None if reason is None else str(reason)


@pytest.mark.parametrize(("text", "reason"), [
    ("I am your father.\n" * 4, RuleReason.GOPHER_DUPLICATE_LINES),
    ("I am your father.\n\n" * 4, RuleReason.GOPHER_DUPLICATE_PARAGRAPHS),
    ("I am Frank, I am Frank, I am Frank", RuleReason.GOPHER_TOP_2_GRAM),
    ("I am Frank, you are Jhon. I am Frank. I am Frank you are Jhon", RuleReason.GOPHER_TOP_3_GRAM),
    ("I am a solo traveller " * 8 + PROSE + " " + MORE, RuleReason.GOPHER_DUPLICATE_7_GRAMS),
    (PROSE, None),
])
def test_datatroves_vectors_on_repetition(text: str, reason: str | None) -> None:
    assert verdict(text, thresholds={"c4_few_sentences": None}) == reason


@pytest.mark.parametrize(("text", "reason"), [
    ("I am too small...", RuleReason.GOPHER_TOO_FEW_WORDS),
    ("I am " * 20, RuleReason.GOPHER_SHORT_WORDS),
    ("interconnection " * 20, RuleReason.GOPHER_LONG_WORDS),
    ("# comment " * 20, RuleReason.GOPHER_HASHES),
    ("... comment " * 20, RuleReason.GOPHER_ELLIPSES),
    ("comment ./!*?<><> 22222 33333 " * 20, RuleReason.GOPHER_FEW_ALPHABETIC_WORDS),
    ("The WITH And letters have many different words " * 3, RuleReason.GOPHER_FEW_STOP_WORDS),
    (PROSE, None),
])
def test_datatroves_vectors_on_quality(text: str, reason: str | None) -> None:
    rules = PRESETS[Preset.GOPHER].rules
    off = {rule.reason: None for rule in rules if "duplicate" in rule.reason or "_top_" in rule.reason}
    assert verdict(text, "gopher", thresholds={**off, "gopher_too_few_words": 10}) == reason


@pytest.mark.parametrize(("n_words", "reason"), [(49, RuleReason.GOPHER_TOO_FEW_WORDS), (50, None)])
@pytest.mark.parametrize("words", list(Words))
def test_a_value_on_the_threshold_passes(n_words: int, reason: str | None, words: Words) -> None:
    plain = " ".join(w.strip(".,;") for w in PROSE.split())
    assert verdict(" ".join(plain.split()[:n_words]), "gopher", words) == reason


@pytest.mark.parametrize(("text", "preset", "reason"), [
    ("lorem ipsum dolor sit\n" + PROSE, "c4", None),  # no end mark: the line is gone before it condemns
    ("lorem ipsum dolor sit.\n" + PROSE, "c4", RuleReason.C4_LOREM_IPSUM),
    ("lorem ipsum dolor sit\n" + PROSE, "fineweb", RuleReason.C4_LOREM_IPSUM),
    ("if (a) { b(); } or not.\n" + PROSE, "c4", RuleReason.C4_CURLY_BRACKET),
    ("This page uses JavaScript { badly.\n" + PROSE, "c4", None),  # the line goes for another reason first
    ("One. Two. Three lines are not five.", "c4", RuleReason.C4_FEW_SENTENCES),
    ("\n".join(w + " and so on it goes" for w in PROSE.split()), "fineweb", RuleReason.GOPHER_TOP_2_GRAM),
    ("\n".join(f"{a} {b} {c}" for a, b, c in zip(*[iter(MORE.split()[:54])] * 3, strict=True)) + "\n" + PROSE,
     "fineweb", RuleReason.FINEWEB_FEW_TERMINAL_LINES),
    (PROSE + "\n" + MORE, "fineweb", None),
    (PROSE + "\nHOME NEWS SPORT WEATHER VIDEO\nMORE OF THIS SECTION\n3 likes", "refinedweb",
     RuleReason.REFINEDWEB_CUT_WORDS),
    ("", "fineweb", RuleReason.GOPHER_TOO_FEW_WORDS),
    ("", "gpt3", None),
])
def test_edits_come_before_what_is_judged_after_them(text: str, preset: str, reason: str | None) -> None:
    assert verdict(text, preset) == reason


def test_the_first_rule_in_the_presets_order_is_the_reason() -> None:
    text = "I am Frank, I am Frank, I am Frank"  # too short by one rule, repetitive by another
    assert verdict(text, "gopher") == RuleReason.GOPHER_TOO_FEW_WORDS
    assert verdict(text, "fineweb") == RuleReason.GOPHER_TOP_2_GRAM


def test_rules_of_ones_own_and_thresholds() -> None:
    config = RulesConfig.model_validate([{"reason": "too_digital", "signal": "digit_fraction", "at_most": 0.1}])
    assert [r.reason for r in config.in_force] == ["too_digital"]
    reasons = judge_texts(config, Words.PAPER, pa.array(["no 12345678", "none at all"]))
    assert reasons.to_pylist() == ["too_digital", None]
    both = RulesConfig.model_validate({"preset": "c4", "thresholds": {"c4_few_sentences": 2}, "rules": [
        {"reason": "short", "signal": "n_words", "at_least": 3}]})
    assert [r.threshold for r in both.in_force] == [0, 0, 2, 3]
    for bad in ({"preset": "c4", "thresholds": {"gopher_hashes": 1}}, {"thresholds": {"no_such": 1}},
                [{"reason": "x", "signal": "No such", "at_least": 1}],
                [{"reason": "x", "signal": "n_words", "at_least": 1, "at_most": 2}]):
        with pytest.raises(ValidationError):
            RulesConfig.model_validate(bad)


def test_values_and_thresholds_are_reported() -> None:
    table = signals(pa.array(["one two three", PROSE]))
    reason, value, threshold = judge(table, RulesConfig().in_force)
    assert reason.to_pylist() == ["gopher_too_few_words", None]
    assert value.to_pylist() == [3.0, None]
    assert threshold.to_pylist() == [50.0, None]
    ratio = Rule(reason="h", signal="hash_to_word_ratio", at_most=0.1)
    tenth = pa.table({"signal_hash_to_word_ratio": pa.array([1 / 10, np.nextafter(np.float32(0.1), np.float32(1))],
                                                            pa.float32())})
    assert judge(tenth, [ratio])[0].to_pylist() == [None, "h"]
    with pytest.raises(InputError, match="signal_n_words"):
        judge(tenth, RulesConfig().in_force)


def test_rules_ask_the_kinds_of_pages_that_they_name_and_how_sure_a_kind_is() -> None:
    documents = pa.table({
        "signal_n_words": pa.array([10, 10, 10, 90, 10], pa.float32()),
        "page_type": pa.array(["forum", "product", None, "product", "listing"]),
        "page_type_score": pa.array([0.9, 0.9, None, 0.3, 0.9], pa.float32())})
    short = Rule(reason="short", signal="n_words", at_least=50, page_types=("product", "listing"))
    unsure = Rule(reason="unsure", signal="page_type_score", at_least=0.5)
    reason, value, threshold = judge(documents, [short, unsure])
    assert reason.to_pylist() == [None, "short", None, "unsure", "short"]
    assert value.to_pylist() == [None, 10.0, None, pytest.approx(0.3), 10.0]
    assert threshold.to_pylist() == [None, 50.0, None, 0.5, 50.0]
    with pytest.raises(InputError, match="page_type"):
        judge(documents.drop_columns(["page_type"]), [short])
    with pytest.raises(ValidationError):
        Rule.model_validate({"reason": "short", "signal": "n_words", "at_least": 50, "page_types": ["blog"]})


def test_every_preset_reads_known_signals_and_every_reason_has_a_rule() -> None:
    rules = [rule for preset in PRESETS.values() for rule in preset.rules]
    assert {rule.signal for rule in rules} <= set(COMPUTED)
    assert {rule.reason for rule in rules} == {str(reason) for reason in RuleReason}
    assert all(rule.paper for rule in rules)


def test_the_page_on_filters_has_the_tables_that_the_code_has() -> None:
    page = (ROOT / "docs/filters.md").read_text("utf-8")
    for preset in (Preset.GOPHER, Preset.C4, Preset.FINEWEB, Preset.REFINEDWEB):
        assert preset_table(preset) in page, f"{preset}: see python -m scripts.filter_tables"
    assert signal_table() in page
