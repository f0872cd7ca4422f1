"""Stage `tokens`: each clean part once through the tokenizer, to a flat file of ids and an index of its documents.

No end-of-text token is stored: packing adds it. Whether the fast encoder may be used, `tokenizer/check` has found
out on a sample of every part; where it fails on a part, the reference encodes it, which its counters show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import ID, TOKENS
from manifests.tables import one_array, open_table, read_row_groups
from manifests.tasks import Work
from tokenizer.encoding.agreement import encode_or_none
from tokenizer.encoding.config import EncodeConfig
from tokenizer.encoding.encode import Encoder, Offsets, load

__all__ = ["EncodeConfig", "TokenFile", "encode_documents"]


def encode_documents(config: EncodeConfig, work: Work) -> None:
    """tokens: ids of every document of a clean part, in its order.

    Inputs: documents (doc_id, text), tokenizer. Variable: fast, false where the encoders were found to differ. Outputs:
    tokens (.tokens: raw little-endian uint16, or uint32 where the vocabulary exceeds 65,536) and index (TOKENS).
    Counters: documents, tokens, bytes; encoder_fallback, 1 where the reference had to encode what the recipe would have
    the fast encoder do; reference_documents, those that the reference encoded for a character newer than its Unicode,
    where the fast encoder did the others."""
    encoder = load(work.input("tokenizer"))
    trusted = bool(work.variables.get("fast", True))

    with open_table(work.input("documents")) as table:  # texts that are no run's clean documents have no group_id
        columns = ["doc_id", "text", *({"group_id"} & set(table.schema_arrow.names))]

    def index(out: TokenFile) -> Iterator[pa.Table]:
        for group in read_row_groups(work.input("documents"), columns):
            starts, lengths = out.add(one_array(group["text"]))
            groups = group["group_id"] if "group_id" in columns else pa.nulls(len(group), ID)
            yield pa.table([group["doc_id"], pa.array(starts), pa.array(lengths), groups], schema=TOKENS)

    with open(work.output("tokens", ".tokens"), "wb") as file:
        out = TokenFile(encoder, file, config.fast and trusted)
        work.count("documents", work.write("index", TOKENS, index(out)))
    work.count("tokens", out.n_tokens)
    work.count("bytes", out.n_bytes)
    work.count("encoder_fallback", int(config.fast and not out.fast))
    work.count("reference_documents", out.n_apart)


class TokenFile:
    """A .tokens file being written. fast: whether the fast encoder has written all of it so far. n_apart: texts among
    those that it left to the reference (Encoder.texts_apart)."""

    def __init__(self, encoder: Encoder, file: IO[bytes], fast: bool) -> None:
        self._encoder, self._file = encoder, file
        self.fast = fast and encoder.fast
        self.n_tokens = self.n_bytes = self.n_apart = 0

    def add(self, texts: pa.Array) -> tuple[Offsets, Offsets]:
        """Encode texts and write their ids; where each begins in the file and how many it has, int64 [n]."""
        apart = self._encoder.texts_apart
        encoded = encode_or_none(self._encoder, texts) if self.fast else None
        self.n_apart += self._encoder.texts_apart - apart
        if encoded is None:
            self.fast = False
            encoded = self._encoder.encode_reference(texts)
        ids, offsets = encoded
        self._file.write(ids.data)
        starts = offsets[:-1] + self.n_tokens
        self.n_tokens += len(ids)
        self.n_bytes += int(pc.sum(pc.binary_length(texts)).as_py() or 0)
        return starts, np.diff(offsets)
