"""Training a tokenizer on texts in memory, or on a stream of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import as_texts, text_slices
from manifests.settings import settings
from manifests.storage import replacing
from tokenizer.bpe.counting import counts_agree, reference_counts
from tokenizer.bpe.train import learn
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.bpe.words import WordTable
from tokenizer.encoding.encode import Encoder
from tokenizer.encoding.patterns import Pattern

_COLUMN: Final = ("__arrow_c_stream__", "__arrow_c_array__", "__array__")


def train(texts: Any, vocab_size: int = 32_768, *, pattern: str = "gpt2", min_frequency: int = 2,
          min_word_count: int = 1, special_tokens: Sequence[str] = (), out: str | None = None) -> Encoder:
    """A byte-level BPE: merges and file are those of `tokenizers`' BpeTrainer, and of a run over the same texts.

    Args:
        texts: A column of strings; or an iterator of columns, such as of a corpus that memory cannot hold. Memory grows
            with distinct pre-tokens alone.
        vocab_size: Entries: 256 bytes, merges, and `<|endoftext|>`, and special tokens.
        pattern: gpt2, cl100k, o200k or llama: where text is cut first.
        min_frequency: Least count of a pair that becomes a merge.
        min_word_count: Least count of a pre-token that is trained on.
        special_tokens: Tokens that no text is encoded to, with ids behind the end-of-text token; gpt1, chatml and fim
            stand for those of that preset.
        out: A tokenizer.json to write as well.
    Returns:
        The tokenizer; its file's bytes are `data`.
    Raises:
        InputError: There is no column of strings.
        StageError: There is no text.
        RecipeError: A setting is not valid.
    """
    config = settings(TokenizerConfig, {"vocab_size": vocab_size, "pattern": pattern, "min_frequency": min_frequency,
                                        "min_word_count": min_word_count,
                                        "special_tokens": tuple(special_tokens)}, "train")
    table = WordTable()
    for column in _columns(texts):
        _count(table, column, Pattern(config.pattern))
    words = table.table()
    kept = words.filter(pc.greater_equal(words["n"], config.min_word_count)).sort_by("word")
    data = learn(config, kept).data
    if out is not None:
        with replacing(out) as staged:
            Path(staged).write_bytes(data)
    return Encoder(data, out or "tokenizer.json")


def _columns(texts: Any) -> Iterator[pa.LargeStringArray]:
    """Texts in slices of some megabytes."""
    is_column = any(hasattr(texts, name) for name in _COLUMN) or not isinstance(texts, Iterable) or isinstance(
        texts, str | bytes) or (isinstance(texts, list | tuple) and all(t is None or isinstance(t, str) for t in texts))
    for column in [texts] if is_column else texts:
        strings = pc.fill_null(as_texts(column), "")
        for start, end in text_slices(strings):
            if end > start:
                yield strings[start:end]


def _count(table: WordTable, texts: pa.LargeStringArray, pattern: Pattern) -> None:
    """Count pre-tokens, by the kernels where they cut the beginning as `tokenizers` does."""
    if counts_agree(texts, pattern):
        table.count_texts(texts, pattern)
    else:
        table.add(reference_counts(texts, pattern))
