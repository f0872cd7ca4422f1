"""Training a byte-level BPE on counted pre-tokens, and the tokenizer.json that is made of it.

The stages before it: `tokenizer/sample` and `tokenizer/cutoffs` choose documents (`tokenizer.sampling`),
`tokenizer/counts` and `tokenizer/words` count their pre-tokens (`tokenizer.counting`). So no process holds the text,
and what is learned depends neither on the order nor on the number of parts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import AddedToken, Tokenizer, decoders, models

from manifests.errors import StageError
from manifests.tables import one_array, read_table
from manifests.tasks import Work
from tokenizer.bpe.merges import Training, train
from tokenizer.bpe.pretokenize import pre_tokenizer
from tokenizer.bpe.special_tokens import add_special_tokens, with_special_tokens
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.bpe.words import WORDS
from tokenizer.encoding.encode import END_OF_TEXT, Encoder
from tokenizer.encoding.formats import read_tokenizer, tokenizer_files
from tokenizer.encoding.patterns import Pattern
from tokenizer.encoding.token_bytes import byte_alphabet


@dataclass(frozen=True, slots=True)
class Trained:
    """A tokenizer.json, and what it makes of the words it was learned from."""

    data: bytes
    n_merges: int
    n_bytes: int
    n_tokens: int
    n_words: int


def learn(config: TokenizerConfig, words: pa.Table) -> Trained:
    """A tokenizer.json trained on counted pre-tokens: all 256 bytes, the merges, end-of-text, special tokens.

    Merges and file are those of `tokenizers`' BpeTrainer on texts with these counts. Too few words for the vocabulary
    give fewer merges.

    Args:
        config: Size of the vocabulary, pattern, and least count of a pair.
        words: WORDS, each word once.
    Returns:
        The tokenizer.json, and the sizes of what it was trained on, in bytes, tokens and distinct words.
    Raises:
        StageError: There is no word.
    """
    if not len(words):
        raise StageError("there is no text to train a tokenizer on", where="tokenizer",
                         hint="loosen the filters that emptied the corpus, or name a file in tokenizer.path")
    table = words.combine_chunks()
    column: Any = table["word"]
    counts = table["n"].to_numpy()
    letters = byte_alphabet()
    tokens = sorted(letters)  # the ids that GPT-2 and `tokenizers` give to bytes
    id_of = {letter: i for i, letter in enumerate(tokens)}
    alphabet = np.array([id_of[letter] for letter in letters], np.int32)
    done = train(one_array(column), counts, alphabet, config.n_merges, config.min_frequency)
    n_bytes = int(np.dot(pc.binary_length(column).to_numpy(), counts))
    data = _tokenizer_json(tokens, done, Pattern(config.pattern), config.special_tokens)
    return Trained(data, len(done.merges), n_bytes, done.n_tokens,
                   len(table))


def _tokenizer_json(tokens: list[str], done: Training, pattern: Pattern, special: Sequence[str]) -> bytes:
    tokens, merges = list(tokens), []
    for a, b in done.merges.tolist():
        merges.append((tokens[a], tokens[b]))
        tokens.append(tokens[a] + tokens[b])
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizer(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    add_special_tokens(tokenizer, special)
    return str(tokenizer.to_str(pretty=True)).encode()


def train_tokenizer(config: TokenizerConfig, work: Work) -> None:
    """tokenizer: train, or take, the run's tokenizer.json.

    Inputs: words (all partitions) and cutoffs, or existing, the files that `path` names. Outputs: tokenizer (.json) and
    metrics (metrics.json), which tells of the words it was trained on; one that is taken as it is has none. Counter
    lossy: 1 where decoding does not give every text back. Raises StageError where there is nothing to train on,
    InputError where the files are no tokenizer with an end-of-text token."""
    trained: Trained | None = None
    if config.path is not None:
        data = read_tokenizer(work.inputs("existing") or tokenizer_files(config.path))
        if config.special_tokens:
            data = with_special_tokens(data, config.special_tokens)
    else:
        parts = [WORDS.empty_table(), *(read_table(path) for path in work.inputs("words"))]
        trained = learn(config, pa.concat_tables(parts))
        data = trained.data
    encoder = Encoder(data, config.path or "tokenizer.json")
    if not encoder.lossless:
        work.count("lossy")
    Path(work.output("tokenizer", ".json")).write_bytes(data)
    metrics = _metrics(config, encoder, trained, work.inputs("cutoffs"))
    Path(work.output("metrics", name="metrics.json")).write_text(
        json.dumps(metrics, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    for name in ("vocab_size", "n_merges", "n_words", "sample_documents", "sample_bytes", "sample_tokens"):
        if metrics[name] is not None:
            work.count(name, metrics[name])


def _metrics(config: TokenizerConfig, encoder: Encoder, trained: Trained | None, cutoffs: list[str]) -> dict[str, Any]:
    """What metrics.json says. sample_tokens and bytes_per_token leave rare words out where the recipe does."""
    samples: Any = [read_table(path, ["source", "sample_bytes", "sample_documents"]) for path in cutoffs]
    by_source = {row["source"]: row["sample_bytes"] for table in samples for row in table.to_pylist()}
    documents = sum(pc.sum(table["sample_documents"]).as_py() for table in samples)
    return {
        "requested_vocab_size": config.vocab_size if trained else None,
        "vocab_size": encoder.vocab_size,
        "pattern": config.pattern if trained else None,
        "n_merges": trained.n_merges if trained else None,
        "n_words": trained.n_words if trained else None,
        "end_of_text_id": encoder.eot_id,
        "special_tokens": dict(encoder.special_tokens),
        "lossless": encoder.lossless,
        "sha256": encoder.sha256.hex(),
        "sample_documents": documents if trained else None,
        "sample_bytes": sum(by_source.values()) if trained else None,
        "sample_bytes_by_source": by_source if trained else None,
        "sample_tokens": trained.n_tokens if trained else None,
        "bytes_per_token": round(trained.n_bytes / trained.n_tokens, 4) if trained else None,
    }
