"""The compiled signals against a plain reading of their definitions."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.edits.spans import FlatEdits
from curate.heuristics.computed import signals
from curate.heuristics.kernels.stop_words import GOPHER, LANGUAGES
from curate.heuristics.line_config import C4Lines, Editing, RefinedWebLines
from curate.heuristics.line_rules import line_edits
from curate.heuristics.signals import COMPUTED, Group
from curate.text.characters import PROPERTIES, TERMINAL
from curate.text.unicode import DIGIT, KIND, LETTER, LOWER, PUNCTUATION, TABLE_SIZE, in_category

COUNTED = [name for name, signal in COMPUTED.items() if signal.group is Group.REPETITION]


LAST_HAN = 0x323AF  # above it are tags and variation selectors


def kind(char: str) -> int:
    if ord(char) < TABLE_SIZE:
        return int(KIND[ord(char)])
    return LETTER if ord(char) <= LAST_HAN else PUNCTUATION


def letter(char: str) -> bool:
    return bool(in_category("L")[ord(char)] if ord(char) < TABLE_SIZE else ord(char) <= LAST_HAN)


def core(word: str) -> str:
    """A word without what surrounds its letters and digits, in small letters; with marks inside it, no word."""
    places = [i for i, c in enumerate(word) if kind(c) in (LETTER, DIGIT)]
    if not places or places[-1] - places[0] + 1 != len(places):
        return ""
    return "".join(chr(LOWER[ord(c)]) if ord(c) < TABLE_SIZE else c for c in word[places[0] : places[-1] + 1])


def visible(text: str) -> int:
    return len("".join(text.split()))


def repeats(units: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    again = [u for u in units if u in seen or seen.add(u)]  # type: ignore[func-returns-value]
    return len(again), sum(map(visible, again))


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def top(words: list[str], n: int) -> int:
    counts = Counter(grams(words, n))
    most = max(counts.values(), default=0)
    return most * max(sum(map(len, g)) for g, k in counts.items() if k == most) if most > 1 else 0


def covered(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    marked: set[int] = set()
    for i, gram in enumerate(grams(words, n)):
        if gram in seen:
            marked.update(range(i, i + n))
        seen.add(gram)
    return sum(len(words[i]) for i in marked)


def reference(text: str) -> list[float]:
    """The signals on words, lines and n-grams."""
    words = text.split()
    if not words:
        return [0.0] * len(COUNTED)
    real = [w for w in words if any(kind(c) in (LETTER, DIGIT) for c in w)]
    lines = [" ".join(line.split()) for line in text.split("\n")]
    full = [line for line in lines if line]
    paragraphs = [p.strip("\n") for p in "\n".join(lines).split("\n\n") if p.strip("\n")]
    total, n = sum(map(len, words)), len(words)
    line_count, line_chars = repeats(full)
    paragraph_count, paragraph_chars = repeats(paragraphs)
    counts = Counter(words)
    return [
        len(real), sum(map(len, real)) / max(1, len(real)), text.count("#") / n,
        (text.count("...") + text.count("…")) / n,
        sum(line[0] in "•-" for line in full) / len(full),
        sum(line.endswith(("...", "…")) for line in full) / len(full),
        sum(any(letter(c) for c in w) for w in words) / n,
        len({core(w) for w in words} & set(GOPHER)),
        line_count / len(full), line_chars / total,
        paragraph_count / len(paragraphs), paragraph_chars / total,
        *(min(1.0, top(words, k) / total) for k in (2, 3, 4)),
        *(covered(words, k) / total for k in range(5, 11)),
        sum(core(w) in LANGUAGES["en"].split() or core(w) in ("with",) for w in words) / n,
        sum(any(c.isupper() for c in w) and not any(c.islower() for c in w) for w in words) / n,
        len(counts) / n, sum(k / n * math.log(n / k) for k in counts.values()),
    ]


words = st.sampled_from(["the", "The,", "and", "with", "(have)", "be.to", "a", "xyz", "12", "###", "...", "wait....",
                         "end…", "•", "-", "…", "über", "日本語", "\U00020000", "e\u0301", "OF", "that's", "\u2028x"])
breaks = st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n", "\n \n\n", "\t", "\r\n", "\u00a0", "\n- "])
prose = st.lists(st.tuples(words, breaks), max_size=60).map(lambda pairs: "".join(w + b for w, b in pairs))
anything = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(prose | anything, max_size=6))
def test_signals_are_what_they_say(texts: list[str]) -> None:
    table = signals(pa.array(texts, pa.large_string()))
    assert set(table.column_names) == {f"signal_{name}" for name in COMPUTED}
    found = np.array([table[f"signal_{name}"].to_numpy() for name in COUNTED]).T
    for text, row in zip(texts, found, strict=True):
        np.testing.assert_allclose(row, np.array(reference(text), np.float32), rtol=1e-6, err_msg=repr(text))


@settings(max_examples=25, deadline=None)
@given(prose, st.integers(2, 4))
def test_repeating_a_text_makes_it_more_repetitive(text: str, times: int) -> None:
    (once, more) = signals(pa.array([text, "\n\n".join([text] * times)])).to_pylist()
    for name in ("duplicate_line_fraction", "duplicate_10_gram_character_fraction"):
        assert more[f"signal_{name}"] >= once[f"signal_{name}"] - 1e-6
    assert more["signal_n_words"] == times * once["signal_n_words"]


def c4_lines(text: str) -> tuple[str, int, float]:
    """(edited text, reason: 0 none, 1 lorem ipsum, 2 bracket, share of lines that end like sentences)."""
    kept = []
    for raw in text.splitlines():
        line = raw.strip()
        tokens = line.split()
        if any(len(w) > 12 for w in tokens) or len(tokens) < 3:
            continue
        line = re.sub(r"\[[0-9]*]|\[edit]|\[citation needed]", "", line)
        low = line.lower()
        if "lorem ipsum" in low:
            return "", 1, 0.0
        if "javascript" in low:
            continue
        if "{" in line:
            return "", 2, 0.0
        if any(p in low for p in ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
                                  "use cookies")):
            continue
        kept.append(line)
    edited = "\n".join(kept).strip()
    full = [line for line in edited.split("\n") if line.strip()]
    ends = sum(bool(PROPERTIES[ord(line[-1])] & TERMINAL) for line in full) / max(1, len(full))
    return edited, 0, ends


c4_words = st.sampled_from(["one", "two.", "three[12]", "JavaScript", "{", "Lorem", "ipsum", "use", "cookies", "[edit]",
                            "a" * 13, "end!", "terms", "of", "[citation needed]", "[x", "ü?", "Privacy policy"])
c4_breaks = st.sampled_from([" ", " ", " ", " ", "\n", "\n", "\r\n", " \n  ", "\n\n", "\u2028", "\x0b", "\t"])
pages = st.lists(st.tuples(c4_words, c4_breaks), max_size=50).map(lambda pairs: "".join(w + b for w, b in pairs))


@settings(max_examples=80, deadline=None)
@example(["one two.\t[edit] "])
@given(st.lists(pages, max_size=5))
def test_c4_edits_are_what_a_line_by_line_reading_leaves(texts: list[str]) -> None:
    rules = C4Lines(max_word_characters=12)
    array = pa.array(texts, pa.large_string())
    table = signals(array, c4=rules)
    edits = line_edits(array, Editing.C4, rules, RefinedWebLines())
    sizes = np.array([len(t.encode()) for t in texts], np.int64)
    edited = FlatEdits.of(edits, sizes).texts(array).to_pylist()
    for i, text in enumerate(texts):
        expected, stop, ends = c4_lines(text)
        assert table["signal_c4_lorem_ipsum"][i].as_py() == (stop == 1), text
        assert table["signal_c4_curly_bracket"][i].as_py() == (stop == 2), text
        if not stop:
            assert edited[i] == expected, repr(text)
            assert math.isclose(table["signal_c4_terminal_line_fraction"][i].as_py(), ends, abs_tol=1e-6), repr(text)
