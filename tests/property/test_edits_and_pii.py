"""Spans within spans, and personal data, against plain readings of what they should be."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits
from curate.heuristics.kernels.pii import EMAIL, IP, find_pii
from curate.heuristics.listed_words import WordList
from curate.heuristics.pii import pii_spans
from curate.heuristics.pii_config import PiiConfig
from curate.text.strings import string_buffers

SIZE = 24


@st.composite
def spans(draw: st.DrawFn, coded: bool) -> list[tuple[int, int, int]]:
    """Spans of SIZE bytes, in order and apart, some with a code."""
    cuts = sorted(draw(st.sets(st.integers(0, SIZE), max_size=10)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return [(a, b, draw(st.integers(-1, 1)) if coded else COPIED) for a, b in pairs]


def flat(documents: list[list[tuple[int, int, int]]], words: list[str]) -> FlatEdits:
    places = np.cumsum([0, *map(len, documents)])
    rows = np.array([s for d in documents for s in d], np.int64).reshape(-1, 3)
    return FlatEdits(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy(), places, words)


def naive(a: list[tuple[int, int, int]], b: list[tuple[int, int, int]], text: str) -> list[str]:
    """What each span of b holds of the text that a spells; a replaced span goes with the first that touches it."""
    out, used = ["" for _ in b], set()
    for place, (low, high, _) in enumerate(b):
        for i, (start, end, code) in enumerate(a):
            if max(low, start) >= min(high, end):
                continue
            if code == COPIED:
                out[place] += text[max(low, start) : min(high, end)]
            elif i not in used:
                out[place] += "XY"[code]
                used.add(i)
    return out


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(spans(True), spans(False)), min_size=1, max_size=4))
def test_spans_within_spans(documents: list[tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]]) -> None:
    text = "abcdefghijklmnopqrstuvwx"
    inner, owner = flat([a for a, _ in documents], ["X", "Y"]).within(flat([b for _, b in documents], []))
    expected = [naive(a, b, text) for a, b in documents]
    found = ["" for pieces in expected for _ in pieces]
    for start, end, code, place in zip(inner.starts, inner.ends, inner.codes, owner, strict=True):
        found[place] += text[start:end] if code == COPIED else inner.replacements[code]
    assert found == [piece for pieces in expected for piece in pieces]
    again = FlatEdits.of(inner.array(), np.full(len(documents), SIZE, np.int64))
    assert again.texts(pa.array([text] * len(documents), pa.large_string())).to_pylist() == [
        "".join(pieces) for pieces in expected]


EMAILS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}")
OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
IPS = re.compile(rf"(?<![\w.])(?:{OCTET}\.){{3}}{OCTET}(?!\d|\.\d)")
chunks = st.sampled_from(["a@b.org", "x.y+z@mail.example.com", "@", "a@b", "8.8.8.8", "1.2.3.4.5", "256.1.1.1",
                          "9.9.9.09", "203.1.2.3", "ü", ",", "(", ")", "11.22.33.44"])
gaps = st.sampled_from([" ", " ", ", ", "\n", " - "])
lines = st.lists(st.tuples(chunks, gaps), max_size=12).map(lambda pairs: "".join(c + g for c, g in pairs))


@settings(max_examples=80, deadline=None)
@given(lines)
def test_addresses_are_what_regular_expressions_find(text: str) -> None:
    data, offsets = string_buffers(pa.array([text], pa.large_string()))
    starts, ends, kinds, _ = find_pii(data, offsets, np.array([True, True, False, False, False]))
    raw = text.encode()
    found = [(int(k), raw[a:b].decode()) for a, b, k in zip(starts, ends, kinds, strict=True)]
    assert [t for k, t in found if k == EMAIL] == EMAILS.findall(text)
    assert [t for k, t in found if k == IP] == IPS.findall(text)
    edits, counts = pii_spans(PiiConfig(email_text="E", ip_text="I"), pa.array([text], pa.large_string()))
    assert edits.texts(pa.array([text], pa.large_string())).to_pylist() == [IPS.sub("I", EMAILS.sub("E", text))]
    assert counts[0, :2].tolist() == [len(EMAILS.findall(text)), len(IPS.findall(text))]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["bad", "Bad,", "thing", "very", "good"]), max_size=12), max_size=4))
def test_listed_words_are_counted_once(documents: list[list[str]]) -> None:
    texts = [" ".join(words) for words in documents]
    found = WordList(["bad", "very bad thing"]).fractions(pa.array(texts, pa.large_string()))
    for words, share in zip(documents, found, strict=True):
        plain = [w.strip(",").lower() for w in words]
        listed = {i for i, w in enumerate(plain) if w == "bad"}
        for i in range(len(plain) - 2):
            if plain[i : i + 3] == ["very", "bad", "thing"]:
                listed |= {i, i + 1, i + 2}
        assert share == np.float32(len(listed) / max(1, len(words)))
