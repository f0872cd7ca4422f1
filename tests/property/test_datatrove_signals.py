"""datatrove's mode against a plain reading of what datatrove 0.10.1 computes, given the same words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.edits.spans import FlatEdits
from curate.heuristics.computed import signals
from curate.heuristics.kernels.flags import HAS_LETTER, IS_WORD
from curate.heuristics.line_config import C4Lines, Editing, RefinedWebLines
from curate.heuristics.line_rules import line_edits
from curate.heuristics.signals import Words
from curate.text.spacy_classes import TERMINALS
from tests.english_tokens import tokens

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


def seen_before(units: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    again = [u for u in units if u in seen or seen.add(u)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def top(words: list[str], n: int) -> int:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    return max((len(g) * k for g, k in grams.most_common(1)), default=0)


def jumped(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    total = i = 0
    while i + n <= len(words):
        gram = tuple(words[i : i + n])
        if gram in seen:
            total, i = total + len("".join(gram)), i + n
        else:
            seen.add(gram)
            i += 1
    return total


def quality(text: str, words: list[str], flags: np.ndarray) -> dict[str, float]:
    real = [w for w, f in zip(words, flags, strict=True) if f & IS_WORD]
    lines = text.splitlines()
    return {
        "n_words": len(real), "mean_word_length": sum(map(len, real)) / max(1, len(real)),
        "hash_to_word_ratio": text.count("#") / len(words),
        "ellipsis_to_word_ratio": (text.count("...") + text.count("…")) / len(words),
        "bullet_line_fraction": sum(line.lstrip().startswith(("•", "-")) for line in lines) / len(lines),
        "ellipsis_line_fraction": sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines),
        "alpha_word_fraction": sum(bool(f & HAS_LETTER) for f in flags) / len(words),
        "n_stop_words": len(STOP_WORDS & set(words))}


def repetition(text: str, words: list[str]) -> dict[str, float]:
    paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)
    found: dict[str, float] = {}
    for name, units in (("paragraph", paragraphs), ("line", lines)):
        n, chars = seen_before(units)
        found |= {f"duplicate_{name}_fraction": n / len(units),
                  f"duplicate_{name}_character_fraction": chars / len(text)}
    found |= {f"top_{n}_gram_character_fraction": top(words, n) / len(text) for n in (2, 3, 4)}
    return found | {f"duplicate_{n}_gram_character_fraction": jumped(words, n) / len(text) for n in range(5, 11)}


def c4(text: str, must_end: bool) -> tuple[str | None, int]:
    """(edited text, None where the text is condemned; sentences)."""
    kept, sentences = [], 0
    for raw in text.splitlines():
        line = raw.strip()
        words = line.split()
        if any(len(w) > 1000 for w in words):
            continue
        line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        if must_end and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if len(words) < 3:
            continue
        low = line.lower()
        if "lorem ipsum" in low:
            return None, 0
        if "javascript" in low:
            continue
        if "{" in line:
            return None, 0
        if any(p in low for p in ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
                                  "use cookies")):
            continue
        sentences += tokens(line)[2]
        kept.append(line)
    return "\n".join(kept).strip(), sentences


def layout(text: str) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return {}
    return {
        "c4_terminal_line_fraction": sum(ord(line[-1]) in TERMINALS for line in lines) / len(lines),
        "c4_short_line_fraction": sum(len(line) <= 30 for line in lines) / len(lines),
        "c4_duplicate_line_character_fraction": seen_before(lines)[1] / len(text.replace("\n", "")),
        "c4_line_feed_to_word_ratio": text.count("\n") / len(tokens(text)[0])}


pieces = st.sampled_from([
    "the", "The", "of", "that", "don't", "co.", "e.g.", "well-known", "A.B", "12", "###", "...", "wait....", "end…",
    "•", "-", "ab", "ab", "cd", "{", "lorem ipsum", "JavaScript", "use cookies", "[12]", "[٣]", "[edit]", "[x",
    "one two three.", "Stop! Go?", "“so”", "x" * 1001, "日本語", "\U00020000", "\U000e0067", "\x00", "।", "\uff11"])
breaks = st.sampled_from([" ", " ", " ", " ", "\n", "\n", "\n\n", "\n\n\n", " \n", "\r\n", "\t", "\u00a0", "\u2028",
                          "\x0b", "\x85", ""])
pages = st.lists(st.tuples(pieces, breaks), max_size=50).map(lambda pairs: "".join(p + b for p, b in pairs))


@settings(max_examples=60, deadline=None)
@example(["\n\n", " \n \n", "a\n\na\n"])
@given(st.lists(pages, max_size=5))
def test_words_lines_and_grams(texts: list[str]) -> None:
    table = signals(pa.array(texts, pa.large_string()), Words.DATATROVE)
    for i, text in enumerate(texts):
        words, flags, _ = tokens(text)
        expected = repetition(text, words) if text else {}
        expected |= quality(text, words, flags) if words else {}
        found = {name: table[f"signal_{name}"][i].as_py() for name in expected}
        assert found == {name: np.float32(value) for name, value in expected.items()}, repr(text)


@settings(max_examples=60, deadline=None)
@example(["[1] one two three[2]\nsome\u00a0more words [3]", "a b [1]\n[1] [2] [3]\nc d e"])
@given(st.lists(pages, max_size=5))
def test_c4_and_what_fineweb_reads_after_it(texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    table = signals(array, Words.DATATROVE)
    sizes = np.array([len(t.encode()) for t in texts], np.int64)
    for editing, prefix in ((Editing.C4, "c4"), (Editing.C4_STRICT, "c4_strict")):
        edited = FlatEdits.of(line_edits(array, editing, C4Lines(), RefinedWebLines()), sizes).texts(array).to_pylist()
        for i, text in enumerate(texts):
            expected, sentences = c4(text, must_end=editing is Editing.C4_STRICT)
            condemned = [table[f"signal_{prefix}_{name}"][i].as_py() for name in ("lorem_ipsum", "curly_bracket")]
            assert any(condemned) == (expected is None), repr(text)
            if expected is None:
                continue
            assert edited[i] == expected, repr(text)
            assert table[f"signal_{prefix}_n_sentences"][i].as_py() == sentences, repr(text)
            for name, value in (layout(expected) if editing is Editing.C4 else {}).items():
                assert table[f"signal_{name}"][i].as_py() == np.float32(value), (name, text)
