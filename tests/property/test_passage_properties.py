"""Paragraphs, runs of sentences and n-grams against plain Python readings of the same rules."""

# ruff: noqa: RUF001 (decisions of many scripts are what this is about)
from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.kernels.bloom import Seen, false_positive_rate, filter_size, pass_texts
from curate.dedup.kernels.paragraphs import CC_NET_PUNCTUATION, Units, find_paragraphs, normal_form
from curate.dedup.kernels.sentences import find_sentence_runs
from curate.edits.spans import edits_array
from curate.edits.texts import EditedTexts, what_is_left
from curate.text.characters import PROPERTIES, TERMINAL
from curate.text.strings import string_buffers
from curate.text.words import hash_words

PIECES = ["a", "B", "ß", "İ", "É", "e\u0301", "ñ", "Ω", "ж", "中", "ใ", "한", "7", "٣", "１", "½", " ", "  ", "\t",
          "\u00a0", "\u2003", "\n", "\n\n", ".", "!", "?", "。", "！", "…", "-", "–", "«", "”", '"', ")", "'", "+", "|",
          "\x07", "\x85", "\u200b", "😀", "\U00020000"]
CHARACTERS = st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=["Cs", "Cn"], max_codepoint=0x1FFFF))
TEXT = st.lists(CHARACTERS, max_size=40).map("".join)
WORDS = ["one", "Two", "three", "4", "中", "é", ".", ". ", "! ", "?", "。", "”", ")", "\n", " ", " - "]
WORDY = st.lists(st.sampled_from(WORDS), max_size=60).map("".join)


def lower(char: str) -> str:
    return char.lower()


def paper_form(line: str) -> str:
    out = []
    for char in line:
        if char.isspace():
            out.append(" ")
            continue
        for c in unicodedata.normalize("NFD", lower(char)):
            if unicodedata.category(c) == "Nd":
                out.append("0")
            elif unicodedata.category(c) not in ("Mn", "Cc") and not unicodedata.category(c).startswith("P"):
                out.append(c)
    return re.sub(" +", " ", "".join(out)).strip(" ")


def cc_net_form(line: str) -> str:
    """CCNet's normalize_for_dedup, but for the capital sigma at a word's end."""
    line = "".join(map(lower, line.strip()))
    line = re.sub(r"\d", "0", line)
    return re.sub(f"[{CC_NET_PUNCTUATION}\x00-\x1f\x7f-\x9f]", "", line)


def plain_paragraphs(text: str, paper: bool) -> list[tuple[int, int, int, int]]:
    """(key, start, end, before) in bytes."""
    lines, place = [], 0
    for line in text.split("\n"):
        size = len(line.encode())
        form = (paper_form if paper else cc_net_form)(line)
        if form:
            key = int.from_bytes(hashlib.sha1(form.encode()).digest()[:8], "little")
            lines.append((key, place, place + size))
        place += size + 1
    found = []
    for i, (key, start, _) in enumerate(lines):
        end = lines[i + 1][1] if i + 1 < len(lines) else len(text.encode())
        found.append((key, start if i else 0, end, lines[i - 1][2] if i else 0))
    return found


def rows_of(units: Units, text: int = 0) -> list[tuple[int, int, int, int]]:
    some = slice(units.bounds[text], units.bounds[text + 1])
    columns = (units.keys, units.start, units.end, units.before)
    return [tuple(int(v) for v in row) for row in zip(*(c[some] for c in columns), strict=True)]  # type: ignore[misc]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_paragraphs_are_the_plain_ones(texts: list[str]) -> None:
    buffers = string_buffers(pa.array(texts, pa.large_string()))
    for paper in (True, False):
        units = find_paragraphs(*buffers, paper)
        for i, text in enumerate(texts):
            assert rows_of(units, i) == plain_paragraphs(text, paper)


@settings(max_examples=200, deadline=None)
@given(TEXT.map(lambda t: t.replace("\n", " ")))
def test_normal_forms_are_the_plain_ones(line: str) -> None:
    assert normal_form(line, True).decode() == paper_form(line)
    assert normal_form(line, False).decode() == cc_net_form(line)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 300), st.integers(1, 40))
def test_sha1_of_every_length(n: int, min_bytes: int) -> None:
    line = "".join(chr(97 + i % 26) for i in range(n))
    units = find_paragraphs(*string_buffers(pa.array([line])), True, min_bytes)
    wanted = [int.from_bytes(hashlib.sha1(line.encode()).digest()[:8], "little")] if n >= min_bytes else []
    assert units.keys.tolist() == wanted


def plain_sentences(text: str) -> list[tuple[tuple[int, ...], int, int]]:
    """(hashes of the words, start, stop) of every sentence, in bytes, by going through the characters."""
    found, start, stop, place, ended, wide = [], -1, 0, 0, False, False

    def close() -> None:
        nonlocal start, ended, wide
        if start >= 0:
            words = hash_words(*string_buffers(pa.array([text.encode()[start:stop].decode()])))[0]
            if len(words):
                found.append((tuple(words.tolist()), start, stop))
        start, ended, wide = -1, False, False

    for char in text:
        closes = unicodedata.category(char) in ("Pe", "Pf") or char in "\"'"
        terminal = ord(char) < len(PROPERTIES) and bool(PROPERTIES[ord(char)] & TERMINAL)
        if char == "\n" or (char.isspace() and ended) or (wide and not (closes or terminal)):
            close()
        if not char.isspace():
            start = place if start < 0 else start
            stop = place + len(char.encode())
            wide = char in "。！？｡" or (wide and (closes or terminal))
            ended = terminal or (ended and closes)
        place += len(char.encode())
    close()
    return found


@settings(max_examples=300, deadline=None)
@given(st.one_of(WORDY, TEXT), st.integers(1, 4))
def test_runs_of_sentences_are_the_plain_ones(text: str, span: int) -> None:
    text = "".join(c for c in text if ord(c) < 0x20000)
    units = rows_of(find_sentence_runs(*string_buffers(pa.array([text])), span))
    sentences = plain_sentences(text)
    wanted = []
    for i in range(len(sentences) - span + 1):
        end = sentences[i + span][1] if i + span < len(sentences) else len(text.encode())
        wanted.append((sentences[i][1] if i else 0, end, sentences[i - 1][2] if i else 0))
    assert [u[1:] for u in units] == wanted
    words = [tuple(s[0] for s in sentences[i : i + span]) for i in range(len(units))]
    for i in range(len(units)):
        for j in range(i):
            assert (units[i][0] == units[j][0]) == (words[i] == words[j])


def plain_old_both(texts: Sequence[str], ngram: int, min_ngram: int, threshold: float
                   ) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """BFF's old-both with a set: (numbers of the lines that go, n-grams seen and in all) of every text."""
    filter_: set[tuple[int, ...]] = set()
    removed, shares = [], []
    for text in texts:
        gone, seen_all, all_ = [], 0, 0
        for number, line in enumerate(text.split("\n")):
            words = hash_words(*string_buffers(pa.array([line])))[0].tolist()
            grams = [tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)]
            if not grams and len(words) >= min_ngram:
                grams = [tuple(words)]
            seen = sum(g in filter_ for g in grams)
            seen_all, all_ = seen_all + seen, all_ + len(grams)
            if grams and seen / len(grams) > threshold:
                gone.append(number)
            else:
                filter_.update(grams)
        removed.append(gone)
        shares.append((seen_all, all_))
    return removed, shares


LINE = st.lists(st.sampled_from(["alpha", "beta", "Gamma", "delta", "42", "中"]), max_size=7).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(LINE, max_size=5).map("\n".join), max_size=6), st.integers(1, 4), st.integers(1, 4),
       st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_filter_is_the_set_when_it_is_large(texts: list[str], ngram: int, min_ngram: int, threshold: float) -> None:
    ngram, min_ngram = max(ngram, min_ngram), min(ngram, min_ngram)
    size = filter_size(1000, 1e-9)
    bits = np.zeros(size.n_words, np.uint64)
    found = pass_texts(*string_buffers(pa.array(texts, pa.large_string())), bits, size.n_probes, ngram, min_ngram,
                       threshold)
    removed, shares = plain_old_both(texts, ngram, min_ngram, threshold)
    assert list(zip(found.seen.tolist(), found.n_grams.tolist(), strict=True)) == shares
    for i, text in enumerate(texts):
        lines = [len(text.encode()[:p].decode().split("\n")) - 1 for p in _own_starts(text, found, i)]
        assert lines == removed[i]


def _own_starts(text: str, found: Seen, i: int) -> list[int]:
    """Where removed paragraphs begin; the first begins at 0 even where blank lines stand before it."""
    starts: list[int] = found.start[found.bounds[i] : found.bounds[i + 1]].tolist()
    if starts and starts[0] == 0:
        starts[0] = len(text.encode()) - len(text.encode().lstrip(b"\n "))
    return starts


def test_rate_of_false_positives_is_the_stated_one() -> None:
    """A full filter, asked for n-grams that never were in it."""
    for rate in (0.1, 0.01):
        size = filter_size(40_000, rate)
        bits = np.zeros(size.n_words, np.uint64)
        text = "\n".join(f"w{i} w{i + 1}" for i in range(0, 80_000, 2))
        pass_texts(*string_buffers(pa.array([text])), bits, size.n_probes, 2, 2, 1.0)
        other = "\n".join(f"v{i} v{i + 1}" for i in range(0, 80_000, 2))
        before = bits.copy()
        seen = pass_texts(*string_buffers(pa.array([other])), before, size.n_probes, 2, 2, 1.0)
        # A pass fills the filter further: ask of the full one, a line at a time.
        full = sum(int(pass_texts(*string_buffers(pa.array([line])), bits.copy(), size.n_probes, 2, 2, 1.0).seen[0])
                   for line in other.split("\n")[:4000]) / 4000
        assert seen.n_grams.sum() == 40_000
        assert abs(full - rate) < 4 * np.sqrt(rate / 4000) + 0.1 * rate
        assert abs(false_positive_rate(bits, size.n_probes) - rate) < 0.1 * rate


SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(SPANS, st.lists(st.integers(0, 12), min_size=3, max_size=3))
def test_what_is_left_is_what_no_cut_covers(cuts: list[tuple[int, int, int]], sizes: list[int]) -> None:
    cuts = [(d, min(a, b, sizes[d]), min(max(a, b), sizes[d])) for d, a, b in cuts]
    cuts = [c for c in cuts if c[2] > c[1]]
    rows, starts, ends = (np.array([c[i] for c in cuts], np.int64) for i in range(3))
    left = what_is_left(rows, starts, ends, np.array(sizes, np.int64))
    for d, size in enumerate(sizes):
        wanted = [p for p in range(size) if not any(row == d and a <= p < b for row, a, b in cuts)]
        spans = range(int(left.bounds[d]), int(left.bounds[d + 1]))
        assert [p for s in spans for p in range(left.starts[s], left.ends[s])] == wanted
        assert all(left.ends[s] < left.starts[s + 1] for s in list(spans)[:-1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(1, 6), max_size=8), min_size=1, max_size=4), st.data())
def test_places_of_edited_texts_lead_back(cuts: list[list[int]], data: st.DataObject) -> None:
    """Each byte of an edited text that was copied leads to itself; one that replaces others, to what it replaces."""
    texts, lists = [], []
    for sizes in cuts:
        bounds = np.concatenate(([0], np.cumsum(sizes)))
        texts.append("".join(chr(97 + (7 * i) % 26) for i in range(int(bounds[-1]))))
        kinds = data.draw(st.lists(st.sampled_from([-2, -1, 0, 1]), min_size=len(sizes), max_size=len(sizes)))
        lists.append([(int(a), int(b), k) for a, b, k in zip(bounds, bounds[1:], kinds, strict=False) if k > -2])
    flat = [span for spans in lists for span in spans]
    starts, ends, codes = (np.array([s[i] for s in flat], np.int64) for i in range(3))
    places = np.cumsum([0, *map(len, lists)])
    edits = edits_array(starts, ends, codes, places, pa.array(["é", "xyz"]))
    edited = EditedTexts.of(pa.array(texts, pa.large_string()), edits, np.array([len(t) for t in texts], np.int64))
    for d, (text, spans) in enumerate(zip(texts, lists, strict=True)):
        made = [(text[a:b] if k < 0 else ("é", "xyz")[k], a, b, k) for a, b, k in spans]
        assert edited.texts[d].as_py() == "".join(m[0] for m in made)
        place = 0
        for said, a, b, k in made:
            for at in range(len(said.encode())):
                row, here = np.array([d]), np.array([place + at])
                assert edited.starts(row, here)[0] == (a + at if k < 0 else a)
                assert edited.ends(row, here + 1)[0] == (a + at + 1 if k < 0 else b)
            place += len(said.encode())
        assert edited.n_bytes[d] == place
