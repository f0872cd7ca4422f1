"""Training a byte-level BPE on a stateless sample of the clean corpus.

Two stages: every clean part gives its documents of lowest hash up to a byte budget, and one task trains on the lowest
of all of them. So the sample does not depend on the order or number of parts, and growing it only adds documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from manifests.errors import StageError
from manifests.hashing import id_words, keyed_hash
from manifests.storage import open_read
from manifests.tables import read_row_groups, read_table
from manifests.tasks import ShardWork
from tokenizer.encode import END_OF_TEXT, Encoder, byte_alphabet

SAMPLE = pa.schema([
    pa.field("order", pa.uint64(), nullable=False, metadata={"comment": "keyed hash; the sample takes the lowest"}),
    pa.field("n_bytes", pa.int64(), nullable=False, metadata={"comment": "UTF-8 bytes of text"}),
    pa.field("text", pa.large_string(), nullable=False, metadata={"comment": "text of the clean document"}),
])
_SMALLEST = 257


class TokenizerConfig(BaseModel):
    """The tokenizer: trained on a sample of the corpus, or taken from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(
        32_768, le=1 << 20,
        description="Entries of the vocabulary: 256 bytes, the merges, and the end-of-text token as the last id.")
    sample_bytes: int = Field(
        1_000_000_000, ge=1,
        description="UTF-8 bytes of text to train on, chosen by hash from all sources; less if the corpus is smaller.")
    min_frequency: int = Field(
        2, ge=1, description="A pair of tokens must occur at least this often in the sample to become a merge.")
    path: str | None = Field(
        None, description="An existing tokenizer.json to use as it is; nothing is trained then.")

    @field_validator("vocab_size")
    @classmethod
    def _holds_the_bytes(cls, value: int) -> int:
        if value < _SMALLEST:
            raise ValueError(f"needs at least {_SMALLEST} entries: 256 bytes and the end-of-text token")
        return value


def sample_documents(config: TokenizerConfig, work: ShardWork) -> None:
    """tokenizer/sample: a clean part's documents of lowest hash, up to a byte budget.

    Inputs: documents. Variables: source, seed, and optionally sample_bytes, the part's own budget (default: the whole
    sample's). Output: sample (SAMPLE), in the documents' order. A document larger than the budget is left out."""
    path = work.input("documents")
    budget = int(work.variables.get("sample_bytes", config.sample_bytes))
    table = read_table(path, ["doc_id", "n_bytes"])
    order = keyed_hash(int(work.variables["seed"]), "tokenizer-sample", id_words(table["doc_id"]))
    chosen = _lowest(order, table["n_bytes"].to_numpy(), budget)

    def tables() -> Iterator[pa.Table]:
        first = 0
        for group in read_row_groups(path, ["n_bytes", "text"]):
            rows = np.flatnonzero(chosen[first : first + len(group)])
            columns = [pa.array(order[first + rows]), *(group.take(pa.array(rows))[n] for n in ("n_bytes", "text"))]
            first += len(group)
            yield pa.table(columns, schema=SAMPLE)

    n_sampled = work.write("sample", SAMPLE, tables())
    work.count("documents", len(table))
    work.count("sampled_documents", n_sampled)
    work.count("sampled_bytes", int(table["n_bytes"].to_numpy()[chosen].sum()))


def _lowest(order: npt.NDArray[np.uint64], n_bytes: npt.NDArray[np.int64], budget: int) -> npt.NDArray[np.bool_]:
    """Which documents to take: ascending hash while their bytes fit; none that alone exceeds the budget."""
    fits = n_bytes <= budget
    ranked = np.lexsort((order, ~fits))[: int(fits.sum())]
    chosen = np.zeros(len(order), np.bool_)
    chosen[ranked[np.cumsum(n_bytes[ranked]) <= budget]] = True
    return chosen


def train_tokenizer(config: TokenizerConfig, work: ShardWork) -> None:
    """tokenizer: train, or take, the run's tokenizer.json, and measure it on the sample.

    Inputs: sample (all parts); existing, the file that `path` names, where it is set. Outputs: tokenizer (.json) and
    metrics (metrics.json). A sample too small for the vocabulary gives fewer merges; metrics says so. Raises StageError
    where there is nothing to train on, InputError where an existing file is no lossless byte-level tokenizer."""
    sample = _Sample(work.inputs("sample"), config.sample_bytes)
    if config.path is not None:
        path = (work.inputs("existing") or [config.path])[0]
        with open_read(path) as file:
            data = file.read()
    elif sample.n_bytes:
        data = _train(config, sample).encode()
    else:
        raise StageError("there is no text to train a tokenizer on", where="tokenizer",
                         hint="loosen the filters that emptied the corpus, or name a file in tokenizer.path")
    encoder = Encoder(data, config.path or "tokenizer.json")
    with open(work.output("tokenizer", ".json"), "wb") as file:
        file.write(data)
    metrics = _measure(config, encoder, data, sample)
    with open(work.output("metrics", name="metrics.json"), "w", encoding="utf-8") as text:
        text.write(json.dumps(metrics, sort_keys=True, indent=1) + "\n")
    for name in ("vocab_size", "n_merges", "sample_documents", "sample_bytes", "sample_tokens"):
        work.count(name, metrics[name])


class _Sample:
    """The lowest-hash documents of all parts up to a byte budget, streamed a row group at a time."""

    def __init__(self, paths: list[str], budget: int) -> None:
        self.paths = paths
        heads: Any = [read_table(p, ["order", "n_bytes"]) for p in paths]
        order = np.concatenate([h["order"].to_numpy() for h in heads] or [np.empty(0, np.uint64)])
        n_bytes = np.concatenate([h["n_bytes"].to_numpy() for h in heads] or [np.empty(0, np.int64)])
        self._chosen = _lowest(order, n_bytes, budget)
        self.n_documents = int(self._chosen.sum())
        self.n_bytes = int(n_bytes[self._chosen].sum())

    def texts(self) -> Iterator[pa.Array]:
        """large_string arrays of the chosen texts."""
        first = 0
        for path in self.paths:
            for group in read_row_groups(path, ["text"]):
                rows = np.flatnonzero(self._chosen[first : first + len(group)])
                first += len(group)
                yield from group["text"].take(pa.array(rows)).chunks


def _train(config: TokenizerConfig, sample: _Sample) -> str:
    """tokenizer.json of a BPE trained on the sample: GPT-2's pre-tokenization, all 256 bytes, end-of-text last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    # The special token is added after training and not by the trainer, which would give it the first id and not the
    # last, as in GPT-2.
    trainer = trainers.BpeTrainer(vocab_size=config.vocab_size - 1, min_frequency=config.min_frequency,
                                  show_progress=False, initial_alphabet=sorted(byte_alphabet()))
    tokenizer.train_from_iterator((texts.to_pylist() for texts in sample.texts()), trainer)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return str(tokenizer.to_str(pretty=True))


def _measure(config: TokenizerConfig, encoder: Encoder, data: bytes, sample: _Sample) -> dict[str, Any]:
    """What metrics.json says; bytes per token is null where there is no sample."""
    n_tokens = sum(len(encoder.encode(texts)[0]) for texts in sample.texts())
    return {
        "requested_vocab_size": config.vocab_size if config.path is None else None,
        "vocab_size": encoder.vocab_size,
        "n_merges": len(json.loads(data)["model"]["merges"]),
        "end_of_text_id": encoder.eot_id,
        "sha256": encoder.sha256.hex(),
        "sample_documents": sample.n_documents,
        "sample_bytes": sample.n_bytes,
        "sample_tokens": n_tokens,
        "bytes_per_token": round(sample.n_bytes / n_tokens, 4) if n_tokens else None,
    }
