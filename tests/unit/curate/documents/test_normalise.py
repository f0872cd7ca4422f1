"""Normalisation: what each step changes, what none may change, and the compiled passes against plain Python."""
# ruff: noqa: RUF001

from __future__ import annotations

import re
import unicodedata

import ftfy
import ftfy.badness
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.documents.normalise import _SIGN, fix_mojibake, normalise
from curate.documents.normalise_config import NormaliseConfig
from curate.text.cleaning import MAYBE_MOJIBAKE, NOT_SURELY_NFC, look_at_texts

STEPS = ("mojibake", "nfc", "control_characters", "whitespace")


def only(*steps: str) -> NormaliseConfig:
    return NormaliseConfig(**{step: step in steps for step in STEPS})


def one(text: str, config: NormaliseConfig) -> tuple[str, set[str]]:
    found = normalise(pa.array([text], pa.large_string()), config)
    found.texts.validate(full=True)
    return found.texts[0].as_py(), {step for step, n in found.changed.items() if n}


@pytest.mark.parametrize(("step", "text", "expected"), [
    ("mojibake", "the worldâ€™s first\nand a sound â line", "the world’s first\nand a sound â line"),
    ("mojibake", "You\x92ve", "You’ve"), ("mojibake", "schÃ¶n", "schön"),
    ("nfc", "cafe\u0301 \u1100\u1161 \U0002f800", "café 가 丽"),
    ("control_characters", "a\x00b\x1b\x7fc\u00add\ufeffe\tf", "abcde\tf"),
    ("whitespace", "\n\n a\u00a0b \r\n\r\n\r\n\n  c\u2028d\t\n\n", " a b\n\n  c\nd")])
def test_each_step(step: str, text: str, expected: str) -> None:
    assert one(text, only(step)) == (expected, {step})
    if step != "nfc":
        assert one(text, only(*[s for s in STEPS if s not in (step, "control_characters")])) != (expected, {step})


@pytest.mark.parametrize("text", [
    "", "plain text\nwith a second line\n\nand a paragraph", "naïve façade, Ærø, Åse — “quoted”",
    "日本語\u3000のページ", "می\u200cخواهم", "👩\u200d👩\u200d👧",
    "if x:\n    return 1\n\tpass", "Tiếng Việt có dấu", "עִבְרִית", "हिन्दी",
    "Ã is a letter of Portuguese: MAÇÃ, IRMÃ", "5 Â 10 Ångström", "ÐÑ are letters"])
def test_sound_texts_stay_as_they_are(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    assert one(text, NormaliseConfig()) == (text, set())


def test_rows_keep_their_places_and_nulls() -> None:
    texts = pa.chunked_array([["a ", None], ["", "cafe\u0301", "b"]], pa.large_string())
    found = normalise(texts.slice(1), NormaliseConfig())
    assert found.texts.to_pylist() == [None, "", "café", "b"]
    assert found.changed == {"mojibake": 0, "nfc": 1, "control_characters": 0, "whitespace": 0}
    assert normalise(texts, only()).texts.to_pylist() == texts.to_pylist()


ODD = st.text(st.one_of(
    st.sampled_from("ab \t\n\r\x0b\x85\xa0\xad\u2028\u3000\ufeff\x00\x9c\u200b"), st.characters()))


def plain_clean(text: str) -> str:
    """The two compiled steps, by regular expressions."""
    text = re.sub("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u2060\ufeff\ufff9-\ufffb]", "", text)
    text = re.sub("\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text)
    text = re.sub("[\u00a0\u2000-\u200a\u202f\u205f]", " ", text)
    text = re.sub("[ \t]+\n", "\n", text)
    return re.sub("\n{3,}", "\n\n", text).strip("\n").rstrip(" \t\n")


@settings(max_examples=400, deadline=None)
@given(st.lists(ODD, max_size=6))
def test_the_compiled_passes_do_what_plain_python_does(texts: list[str]) -> None:
    texts = [t.encode("utf-8", "replace").decode() for t in texts]
    column = pa.array(texts, pa.large_string())
    cleaned = normalise(column, only("control_characters", "whitespace")).texts.to_pylist()
    assert cleaned == [plain_clean(t) for t in texts]
    assert normalise(column, only("nfc")).texts.to_pylist() == [unicodedata.normalize("NFC", t) for t in texts]
    flags = look_at_texts(column)
    for text, flag in zip(texts, flags, strict=True):
        assert flag & NOT_SURELY_NFC or unicodedata.is_normalized("NFC", text)


@settings(max_examples=300, deadline=None)
@given(ODD, st.sampled_from(["windows-1252", "latin-1"]))
def test_no_broken_text_passes_unseen(text: str, encoding: str) -> None:
    try:
        broken = text.encode("utf-8", "replace").decode(encoding)
    except UnicodeDecodeError:
        return
    repaired = fix_mojibake(broken)
    if repaired != broken:
        assert look_at_texts(pa.array([broken], pa.large_string()))[0] & MAYBE_MOJIBAKE


def test_what_was_sound_and_then_broken_is_put_right() -> None:
    for text in ("“Zürich” liegt am See…", "Das schöne Mädchen heißt Käthe", "l’été à la française", "50 € — naïve"):
        assert fix_mojibake(text.encode().decode("windows-1252", "ignore")) == text or not ftfy.badness.is_bad(text)
        assert one(text.encode().decode("latin-1"), only("mojibake"))[0] == text


def test_a_character_outside_ascii_that_stands_alone_is_no_sign_of_a_broken_text_but_for_a_few() -> None:
    alone = [c for c in map(chr, range(0x80, 0x10000)) if not "\ud800" <= c <= "\udfff" and not _SIGN.search(c)]
    assert len(alone) > 63_000
    for before, after in (("", " "), ("a", "A"), (" ", "9"), ("Z ", ",")):
        assert not ftfy.badness.is_bad("".join(f"{before}{c}{after}." for c in alone))


@settings(max_examples=1000)
@given(st.lists(st.tuples(st.sampled_from("".join(map(str, ftfy.badness.MOJIBAKE_CATEGORIES.values()))),
                          st.sampled_from(("", "", " ", "a", "Z", "1", "\t", ".", "?"))), max_size=12))
def test_lines_that_ftfy_is_not_asked_about_are_those_it_leaves_alone(characters: list[tuple[str, str]]) -> None:
    line = "".join(c + between for c, between in characters)
    if not _SIGN.search(line):
        assert not ftfy.badness.is_bad(line)
    assert fix_mojibake(line) == ftfy.fix_encoding(line, ftfy.TextFixerConfig(replace_lossy_sequences=False))
