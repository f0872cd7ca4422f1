"""What tokenizers make of the same texts: bytes per token, fertility, coverage of the vocabulary, by any column.

Words are runs of characters between white space, as Unicode defines it, so fertility says nothing of Chinese, Japanese
or Thai; characters per token do. Fertility is tokens per word (Rust et al. 2021, arXiv 2012.15613, section 3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.encoding.agreement import EQUAL, differing, sampled_rows
from tokenizer.encoding.config import EncodeConfig
from tokenizer.encoding.encode import Encoder, Ids, Offsets
from tokenizer.encoding.hashes import text_hashes

_BYTE_NAME: Final = re.compile(r"<0x[0-9A-F]{2}>")
_EXAMPLES: Final = 10
NO_GROUP: Final = "(none)"
"""The group of texts without a value."""
Counts = npt.NDArray[np.int64]

TOKEN_COUNTS = pa.schema([
    pa.field("tokenizer", pa.string(), nullable=False),
    pa.field("id", pa.int64(), nullable=False),
    pa.field("bytes", pa.binary(), nullable=False),
    pa.field("n", pa.int64(), nullable=False),
])
"""How often each id of each tokenizer occurred, and its bytes."""


@dataclass(slots=True)
class Sizes:
    """Sums over the texts of one group. unknown: unknown-word tokens. partial: tokens of one byte of a longer
    character."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    tokens: int = 0
    unknown: int = 0
    partial: int = 0

    def facts(self) -> dict[str, Any]:
        """The sums and their ratios; a ratio to nothing is null."""
        def ratio(a: int, b: int) -> float | None:
            return round(a / b, 4) if b else None
        return {"documents": self.documents, "bytes": self.bytes, "characters": self.characters, "words": self.words,
                "tokens": self.tokens, "bytes_per_token": ratio(self.bytes, self.tokens),
                "characters_per_token": ratio(self.characters, self.tokens),
                "fertility": ratio(self.tokens, self.words), "unknown_share": ratio(self.unknown, self.tokens),
                "partial_share": ratio(self.partial, self.tokens)}


class Evaluation:
    """One tokenizer on the texts seen so far. counts: int64 [vocab_size], how often each id occurred."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name, self.encoder = name, encoder
        self.total = Sizes()
        self.groups: dict[str, Sizes] = {}
        self.checked_documents = 0
        self.counts: Counts = np.zeros(encoder.vocab_size, np.int64)
        self._unknown, self._partial = _unknown_ids(encoder), _partial_ids(encoder)

    def add(self, texts: pa.Array, groups: Counts, names: Sequence[str], measures: Mapping[str, Counts],
            config: EncodeConfig) -> None:
        """Encode texts and add them to their groups. groups: int [n] indexes into names. measures: int64 [n] each."""
        ids, offsets = self._checked(texts, config)
        self.counts += np.bincount(ids, minlength=len(self.counts))
        columns = {**measures, "documents": np.ones(len(texts), np.int64), "tokens": np.diff(offsets),
                   "unknown": _within(np.isin(ids, self._unknown), offsets),
                   "partial": _within(self._partial[ids], offsets)}
        for measure, values in columns.items():
            sums = np.bincount(groups, values.astype(np.float64), len(names)).astype(np.int64)
            for name, total in zip(names, sums.tolist(), strict=True):
                for sizes in (self.total, self.groups.setdefault(name, Sizes())):
                    setattr(sizes, measure, getattr(sizes, measure) + total)

    def _checked(self, texts: pa.Array, config: EncodeConfig) -> tuple[Ids, Offsets]:
        """Ids by the fast encoder where it agrees with the reference on a sample, by text, of these; else by that."""
        if not (config.fast and self.encoder.fast):
            return self.encoder.encode_reference(texts)
        hashes = text_hashes(texts)
        words = np.stack([hashes, np.zeros_like(hashes)], axis=1)
        rows = sampled_rows(config, texts, words, not self.checked_documents)
        if (differing(self.encoder, texts.take(pa.array(rows))) != EQUAL).any():
            self.encoder.distrust("the fast encoder gives other ids than tokenizers on one of these texts")
            return self.encoder.encode_reference(texts)
        self.checked_documents += len(rows)
        return self.encoder.encode(texts)

    def facts(self) -> dict[str, Any]:
        """Everything measured, JSON-ready. Unused tokens are those of the vocabulary that are not special."""
        encoder = self.encoder
        special = set(encoder.special_tokens.values())
        ordinary = np.array(sorted(set(encoder.vocabulary.values()) - special), np.int64)
        unused = ordinary[self.counts[ordinary] == 0]
        by_group = {name: sizes.facts() for name, sizes in sorted(self.groups.items())}
        return {"tokenizer": self.name, "sha256": encoder.sha256.hex(), "vocab_size": encoder.vocab_size,
                "lossless": encoder.lossless, "encoder": "gigatoken" if encoder.fast else "tokenizers",
                "encoder_distrusted": encoder.distrusted, "checked_documents": self.checked_documents,
                **self.total.facts(), "by": by_group,
                "ordinary_tokens": len(ordinary), "used_tokens": len(ordinary) - len(unused),
                "coverage": round(1 - len(unused) / max(1, len(ordinary)), 4), "unused_tokens": len(unused),
                "unused_examples": [encoder.decode([i]) for i in unused[-_EXAMPLES:].tolist()]}

    def token_counts(self) -> pa.Table:
        """TOKEN_COUNTS of every id of the vocabulary, by id."""
        ids = sorted(set(self.encoder.vocabulary.values()))
        return pa.table([pa.array([self.name] * len(ids)), pa.array(ids, pa.int64()),
                         pa.array([self.encoder.decode_bytes([i]) for i in ids], pa.binary()),
                         pa.array(self.counts[ids])], schema=TOKEN_COUNTS)


def evaluate(encoders: Mapping[str, Encoder], batches: Iterable[tuple[pa.Array, pa.Array]],
             config: EncodeConfig) -> list[Evaluation]:
    """Every tokenizer on the same texts.

    Memory: a batch and its ids. Every batch's sample is encoded by both encoders; where they differ the reference takes
    over for that tokenizer, which `encoder_distrusted` says.

    Args:
        encoders: Tokenizers by the name that reports give them.
        batches: (texts, groups), string arrays [n] of bounded size; texts without nulls.
        config: Whether the fast encoder is used, and how much of it is checked.
    Returns:
        An evaluation of each tokenizer, in their order.
    """
    evaluations = [Evaluation(name, encoder) for name, encoder in encoders.items()]
    for texts, groups in batches:
        coded: Any = pc.fill_null(groups.cast(pa.string()), NO_GROUP).dictionary_encode()
        numbers, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
        measures = measure_texts(texts)
        for evaluation in evaluations:
            evaluation.add(texts, numbers, names, measures, config)
    return evaluations


def measure_texts(texts: pa.Array) -> dict[str, Counts]:
    """int64 [n] of each text: UTF-8 bytes, characters (code points) and words."""
    trimmed = pc.utf8_trim_whitespace(texts)
    words = pc.list_value_length(pc.utf8_split_whitespace(trimmed)).to_numpy(zero_copy_only=False).astype(np.int64)
    words[pc.binary_length(trimmed).to_numpy(zero_copy_only=False) == 0] = 0
    return {"bytes": pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64),
            "characters": pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64), "words": words}


def _within(flags: npt.NDArray[np.bool_], offsets: Offsets) -> Counts:
    sums = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=sums[1:])
    return np.diff(sums[offsets])


def _unknown_ids(encoder: Encoder) -> Counts:
    unknown = encoder.unknown_id
    return np.array([] if unknown is None else [unknown], np.int64)


def _partial_ids(encoder: Encoder) -> npt.NDArray[np.bool_]:
    """bool [vocab_size]: ids of one byte of a character of several."""
    flags = np.zeros(encoder.vocab_size, np.bool_)
    special = set(encoder.special_tokens)
    for token, i in encoder.vocabulary.items():
        if encoder.byte_level and len(token) == 1 and token not in special:
            flags[i] = encoder.decode_bytes([i])[0] >= 0x80
        elif not encoder.byte_level and _BYTE_NAME.fullmatch(token):
            flags[i] = int(token[3:5], 16) >= 0x80
    return flags
