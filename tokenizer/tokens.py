"""Stage `tokens`: each clean part once through the tokenizer, to a flat file of ids and an index of its documents.

No end-of-text token is stored: packing adds it. The fast encoder is checked against the reference on a stateless sample
of every part; one difference and the whole part is encoded again by the reference, which its counters show.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from manifests.hashing import id_words, uniform
from manifests.schema import ID, TOKENS
from manifests.tables import open_table, read_row_groups
from manifests.tasks import ShardWork
from tokenizer.encode import Encoder, Ids, Offsets, load


class EncodeConfig(BaseModel):
    """Encoding the clean corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fast: bool = Field(
        True, description="Encode with gigatoken, checked against tokenizers on a sample of every part.")
    check_fraction: float = Field(
        1 / 512, ge=0.0, le=1.0,
        description="Share of documents that both encoders encode and that must agree; the first one always does.")
    check_bytes: int = Field(
        1 << 20, ge=1, description="Larger documents are not checked: the reference takes a second for a megabyte.")


class _EncodersDifferError(Exception):
    """The fast encoder gave other ids than the reference."""


def encode_documents(config: EncodeConfig, work: ShardWork) -> None:
    """tokens: ids of every document of a clean part, in its order.

    Inputs: documents (doc_id, text), tokenizer. Outputs: tokens (.tokens: raw little-endian uint16, or uint32 where the
    vocabulary exceeds 65,536) and index (TOKENS). Counters: documents, tokens, bytes, checked_documents, and
    encoder_fallback, 1 where the reference had to encode the part."""
    encoder = load(work.input("tokenizer"))
    path = work.output("tokens", ".tokens")
    part = _Part(config, encoder, work.input("documents"), path)
    fast = config.fast and encoder.fast
    try:
        index = list(part.encode(fast))
    except _EncodersDifferError:
        fast = False
        index = list(part.encode(fast))
    work.write("index", TOKENS, index)
    work.count("documents", sum(len(t) for t in index))
    work.count("tokens", part.n_tokens)
    work.count("bytes", part.n_bytes)
    work.count("checked_documents", part.n_checked)
    work.count("encoder_fallback", int(config.fast and not fast))


class _Part:
    """One clean part on its way into a .tokens file."""

    def __init__(self, config: EncodeConfig, encoder: Encoder, documents: str, path: str) -> None:
        self.config, self.encoder, self.documents, self.path = config, encoder, documents, path
        self.n_tokens = self.n_bytes = self.n_checked = 0
        with open_table(documents) as file:  # texts that are no run's clean documents have no group_id
            self._columns = ["doc_id", "text", *({"group_id"} & set(file.schema_arrow.names))]

    def encode(self, fast: bool) -> Iterator[pa.Table]:
        """Write the ids and yield the index, row group by row group; the file is begun anew at every call."""
        self.n_tokens = self.n_bytes = self.n_checked = 0
        with open(self.path, "wb") as file:
            for group in read_row_groups(self.documents, self._columns):
                texts = pa.concat_arrays(group["text"].chunks)
                if fast:
                    ids, offsets = self._checked(texts, id_words(group["doc_id"]))
                else:
                    ids, offsets = self.encoder.encode_reference(texts)
                file.write(ids.data)
                columns = [group["doc_id"], pa.array(offsets[:-1] + self.n_tokens), pa.array(np.diff(offsets)),
                           group["group_id"] if "group_id" in self._columns else pa.nulls(len(group), ID)]
                self.n_tokens += len(ids)
                self.n_bytes += int(pc.sum(pc.binary_length(texts)).as_py() or 0)
                yield pa.table(columns, schema=TOKENS)

    def _checked(self, texts: pa.Array, words: npt.NDArray[np.uint64]) -> tuple[Ids, Offsets]:
        """Ids by the fast encoder, after its sample agreed with the reference's."""
        try:
            ids, offsets = self.encoder.encode(texts)
        except BaseException as error:  # a panic of the Rust library is no Exception; the reference can encode it all
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise _EncodersDifferError from error
        if len(offsets) != len(texts) + 1:
            raise _EncodersDifferError
        sampled = uniform(0, "encoder-check", words) < self.config.check_fraction
        sampled[:1] |= self.n_tokens == 0
        small = pc.binary_length(texts).to_numpy(zero_copy_only=False) <= self.config.check_bytes
        rows = np.flatnonzero(sampled & small)
        expected, bounds = self.encoder.encode_reference(texts.take(pa.array(rows)))
        for place, row in enumerate(rows.tolist()):
            mine, right = ids[offsets[row] : offsets[row + 1]], expected[bounds[place] : bounds[place + 1]]
            if not np.array_equal(mine, right):
                raise _EncodersDifferError
        self.n_checked += len(rows)
        return ids, offsets
