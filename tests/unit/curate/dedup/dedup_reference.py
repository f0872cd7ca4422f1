"""A slow, plain Python reading of the rules of deduplication, and its stages run on made-up documents."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupConfig
from manifests.hashing import document_id
from manifests.schema import DOCUMENTS, SELECT_DECISIONS
from manifests.tables import read_table
from tests.unit.curate.graph_runs import GraphRun, recipe_of, run_graph

MASK = (1 << 64) - 1
BASE = 0x9E3779B97F4A7C15
UNSPACED = ("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "THAI", "LAO",
            "KHMER", "MYANMAR")


def fmix64(x: int) -> int:
    x = ((x ^ (x >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    x = ((x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53) & MASK
    return x ^ (x >> 33)


def lower(char: str) -> str:
    return char.lower() if len(char.lower()) == 1 else char


def words(text: str) -> list[str]:
    found, run = [], ""
    for char in text:
        kind = unicodedata.category(char)[0] if char < "\U00020000" else "L"  # the tables end there
        alone = kind in "LM" and unicodedata.name(char, "").startswith(UNSPACED)
        if kind in "LMN" and not alone:
            run += lower(char)
            continue
        if run:
            found.append(run)
            run = ""
        if alone:
            found.append(lower(char))
    return [*found, run] if run else found


def word_hash(word: str) -> int:
    h = 0xCBF29CE484222325
    for char in word:
        h = ((h ^ ord(char)) * 0x100000001B3) & MASK
    return fmix64(h)


def gram_hash(gram: Sequence[str]) -> int:
    total = 0
    for word in gram:
        total = (total * BASE + word_hash(word)) & MASK
    return fmix64(total)


def shingles(text: str, n: int = 5) -> list[tuple[str, ...]]:
    w = words(text)
    return [tuple(w[i : i + n]) for i in range(max(1, len(w) - n + 1))] if w else []


def jaccard(a: str, b: str, n: int = 5) -> float:
    x, y = set(shingles(a, n)), set(shingles(b, n))
    return len(x & y) / len(x | y) if x | y else 0.0


@dataclass
class Doc:
    """A document of a test corpus."""

    text: str
    source: str = "crawl"
    quality: float | None = None
    keep: bool = True
    doc_id: bytes = b""
    url: str | None = None
    date: int | None = None  # milliseconds since 1970


@dataclass
class Verdict:
    """What the rules say of a document."""

    reason: str | None = None
    survivor: bytes | None = None
    similarity: float | None = None


def verdicts(docs: Sequence[Doc], ranks: dict[str, int], threshold: float = 0.8, n: int = 5) -> dict[bytes, Verdict]:
    """Deduplication with every pair compared: what bands find is a subset, all of it for very similar texts."""
    out = {d.doc_id: Verdict("not_selected") for d in docs if not d.keep}
    order = sorted((d for d in docs if d.keep), key=lambda d: (ranks[d.source], -(d.quality or 0.0), d.doc_id))
    kept: list[Doc] = []
    first: dict[tuple[str, ...], Doc] = {}
    for doc in order:
        key = tuple(words(doc.text))
        if key and key in first:
            best = first[key]
            near = out[best.doc_id]
            out[doc.doc_id] = Verdict("exact_duplicate", best.doc_id, 1.0) if near.reason is None else near
            continue
        first[key] = doc
        similar = [(jaccard(doc.text, k.text, n), -i, k) for i, k in enumerate(kept) if key]
        similar = [s for s in similar if s[0] >= threshold]
        if similar:
            best_similarity, _, survivor = max(similar, key=lambda s: s[:2])
            out[doc.doc_id] = Verdict("near_duplicate", survivor.doc_id, best_similarity)
        else:
            kept.append(doc)
            out[doc.doc_id] = Verdict()
    return out


def documents_table(docs: Sequence[Doc]) -> pa.Table:
    n = len(docs)
    texts = [d.text for d in docs]
    known: dict[str, Any] = {
        "doc_id": [d.doc_id for d in docs], "source": [d.source for d in docs], "url": [d.url for d in docs],
        "date": [d.date for d in docs], "origin_path": ["x"] * n, "origin_offset": range(n), "origin_length": [-1] * n,
        "language_score": [0.0] * n, "text": texts, "n_bytes": [len(t.encode()) for t in texts]}
    return pa.table([pa.array(known.get(f.name, [None] * n), f.type) for f in DOCUMENTS], schema=DOCUMENTS)


def decisions_table(docs: Sequence[Doc]) -> pa.Table:
    known = {
        "doc_id": pa.array([d.doc_id for d in docs], pa.binary(16)),
        "source": pa.array([d.source for d in docs], pa.string()),
        "quality_score": pa.array([d.quality for d in docs], pa.float32()),
        "keep": pa.array([d.keep for d in docs], pa.bool_())}
    columns = [known[f.name] if f.name in known else pa.nulls(len(docs), f.type) for f in SELECT_DECISIONS]
    return pa.table(columns, schema=SELECT_DECISIONS)


def tables_of(parts: dict[str, list[Doc]]) -> dict[str, dict[str, pa.Table]]:
    """The extracted documents and selection's decisions of a corpus, by stage and part."""
    for part, docs in parts.items():
        for i, doc in enumerate(docs):
            doc.doc_id = doc.doc_id or document_id("test", part, i)
    return {"extract": {part: documents_table(docs) for part, docs in parts.items()},
            "select": {part: decisions_table(docs) for part, docs in parts.items()}}


def run_dedup(root: Path, parts: dict[str, list[Doc]], config: DedupConfig, ranks: dict[str, int],
              group: int = 3, until: Sequence[str] = ("dedup",)) -> GraphRun:
    """Deduplication by the stage graph."""
    recipe = recipe_of(sorted(ranks, key=lambda name: ranks[name]), dedup=config.model_dump(mode="json"))
    return run_graph(root, recipe, tables_of(parts), until, group)


def found(root: Path, parts: dict[str, list[Doc]]) -> dict[bytes, Verdict]:
    """The decisions of a run, by document."""
    out = {}
    for part, docs in parts.items():
        rows = read_table(str(root / f"dedup/decisions/{part}.parquet")).to_pylist()
        assert [r["doc_id"] for r in rows] == [d.doc_id for d in docs]
        for r in rows:
            assert r["keep"] == (r["reason"] is None)
            out[r["doc_id"]] = Verdict(r["reason"], r["duplicate_of"], r["similarity"])
    return out


def prose(seed: int, n_words: int, vocabulary: int = 5000) -> str:
    """Words that repeat no 5-gram by chance, the same for one seed."""
    generator = np.random.default_rng(seed)
    return " ".join(f"w{int(i)}" for i in generator.integers(0, vocabulary, n_words))


def edited(text: str, *positions: int) -> str:
    """The text with the words at these positions replaced: each costs up to five shingles."""
    w = text.split()
    for p in positions:
        w[p] = f"edit{p}"
    return " ".join(w)
