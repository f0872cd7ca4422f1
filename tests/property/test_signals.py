"""The compiled signals against a plain reading of their definitions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.heuristics.signals import SIGNALS, signals
from curate.kernels.signals import STOP_WORDS
from curate.kernels.unicode import DIGIT, KIND, LETTER, PUNCTUATION, TABLE_SIZE


def kind(char: str) -> int:
    return int(KIND[ord(char)]) if ord(char) < TABLE_SIZE else LETTER


def bare(word: str) -> str:
    while word and kind(word[0]) == PUNCTUATION:
        word = word[1:]
    while word and kind(word[-1]) == PUNCTUATION:
        word = word[:-1]
    return "".join(c.lower() if c.isascii() else c for c in word)


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
    words = text.split()
    if not words:
        return [0.0] * len(SIGNALS)
    real = [w for w in words if any(kind(c) in (LETTER, DIGIT) for c in w)]
    lines = [" ".join(line.split()) for line in text.split("\n")]
    full = [line for line in lines if line]
    paragraphs = "\n".join(lines).split("\n\n")
    paragraphs = [p.strip("\n") for p in paragraphs if p.strip("\n")]
    total = sum(map(len, words))
    line_count, line_chars = repeats(full)
    paragraph_count, paragraph_chars = repeats(paragraphs)
    return [
        len(real), sum(map(len, real)) / max(1, len(real)), text.count("#") / len(words),
        (text.count("...") + text.count("…")) / len(words),
        sum(line[0] in "•-" for line in full) / len(full),
        sum(line.endswith(("...", "…")) for line in full) / len(full),
        sum(any(kind(c) == LETTER for c in w) for w in words) / len(words),
        len({bare(w) for w in words} & set(STOP_WORDS)),
        line_count / len(full), line_chars / total,
        paragraph_count / len(paragraphs), paragraph_chars / total,
        *(min(1.0, top(words, n) / total) for n in (2, 3, 4)),
        *(covered(words, n) / total for n in range(5, 11)),
    ]


words = st.sampled_from(["the", "The,", "and", "with", "(have)", "be.to", "a", "xyz", "12", "###", "...", "wait....",
                         "end…", "•", "-", "…", "über", "日本語", "\U00020000", "e\u0301", "OF", "that's", "\u2028x"])
breaks = st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n", "\n \n\n", "\t", "\r\n", "\u00a0", "\n- "])
prose = st.lists(st.tuples(words, breaks), max_size=60).map(lambda pairs: "".join(w + b for w, b in pairs))
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(prose | anything, max_size=6))
def test_signals_are_what_they_say(texts: list[str]) -> None:
    table = signals(pa.array(texts, pa.large_string()))
    assert table.column_names == [f"signal_{name}" for name in SIGNALS]
    found = np.array([column.to_numpy() for column in table.columns]).T
    for text, row in zip(texts, found, strict=True):
        np.testing.assert_array_equal(row, np.array(reference(text), np.float32), err_msg=repr(text))


@settings(max_examples=25, deadline=None)
@given(prose, st.integers(2, 4))
def test_repeating_a_text_makes_it_more_repetitive(text: str, times: int) -> None:
    (once, more) = signals(pa.array([text, "\n\n".join([text] * times)])).to_pylist()
    for name in ("duplicate_line_fraction", "duplicate_10_gram_character_fraction"):
        assert more[f"signal_{name}"] >= once[f"signal_{name}"] - 1e-6
    assert more["signal_n_words"] == times * once["signal_n_words"]
