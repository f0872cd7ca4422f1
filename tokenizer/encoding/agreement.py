"""Stage `tokenizer/check`: on a sample of every clean part the fast encoder must give the ids of `tokenizers`.

What differs in one part may differ unseen in others, so one document decides for the tokenizer: where any differs,
every part is encoded by the reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import id_words, uniform
from manifests.schema import ID
from manifests.tables import one_array, read_row_groups
from manifests.tasks import Work
from tokenizer.encoding.config import EncodeConfig
from tokenizer.encoding.encode import Encoder, Ids, Offsets, load

DIFFERENCES = pa.schema([
    pa.field("doc_id", ID, nullable=False),
    pa.field("token", pa.int64(), nullable=False),
])
"""Documents that the two encoders encode differently. token: the first that differs; -1 where the fast one failed."""


def check_encoders(config: EncodeConfig, work: Work) -> None:
    """tokenizer/check: a clean part's sample, encoded by both encoders.

    Inputs: documents (doc_id, text), tokenizer. Output: differences (DIFFERENCES). Counters: checked_documents,
    differing_documents, and no_fast_encoder, 1 where the tokenizer is one that only the reference takes."""
    encoder = load(work.input("tokenizer"))

    def differences() -> Iterator[pa.Table]:
        first = True
        for group in read_row_groups(work.input("documents"), ["doc_id", "text"]):
            texts = one_array(group["text"])
            rows = sampled_rows(config, texts, id_words(group["doc_id"]), first)
            first_differences = differing(encoder, texts.take(pa.array(rows)))
            bad = np.flatnonzero(first_differences != EQUAL)
            work.count("checked_documents", len(rows))
            work.count("differing_documents", len(bad))
            first = False
            yield pa.table([group["doc_id"].take(pa.array(rows[bad])), first_differences[bad]], schema=DIFFERENCES)

    for name in ("checked_documents", "differing_documents"):
        work.count(name, 0)
    able = config.fast and encoder.fast
    work.write("differences", DIFFERENCES, differences() if able else [])
    work.count("no_fast_encoder", int(config.fast and not able))


EQUAL = -2
"""What `differing` says of a text that both encode alike."""


def sampled_rows(config: EncodeConfig, texts: pa.Array, words: npt.NDArray[np.uint64], first: bool
                 ) -> npt.NDArray[np.int64]:
    """int64 rows that are checked: a stateless sample by id and, where these texts are a part's first ones, the first
    of them that has text and is not too long, or the shortest."""
    lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    chosen = (uniform(0, "encoder-check", words) < config.check_fraction) & (lengths <= config.check_bytes)
    if first and len(texts):
        able = (lengths > 0) & (lengths <= config.check_bytes)
        chosen[np.argmax(able) if able.any() else np.argmin(lengths)] = True
    return np.flatnonzero(chosen)


def differing(encoder: Encoder, texts: pa.Array) -> npt.NDArray[np.int64]:
    """int64 [n]: the first token of each text on which the encoders differ, -1 where the fast one failed, or EQUAL."""
    expected, bounds = encoder.encode_reference(texts)
    encoded = encode_or_none(encoder, texts)
    if encoded is None:
        return np.full(len(texts), -1, np.int64)
    ids, offsets = encoded
    if np.array_equal(ids, expected) and np.array_equal(offsets, bounds):
        return np.full(len(texts), EQUAL, np.int64)
    return np.array([_first_difference(ids[offsets[i] : offsets[i + 1]], expected[bounds[i] : bounds[i + 1]])
                     for i in range(len(texts))], np.int64)


def _first_difference(ids: Ids, right: Ids) -> int:
    n = min(len(ids), len(right))
    unlike = np.flatnonzero(ids[:n] != right[:n])
    return int(unlike[0]) if len(unlike) else EQUAL if len(ids) == len(right) else n


def encode_or_none(encoder: Encoder, texts: pa.Array) -> tuple[Ids, Offsets] | None:
    """Ids by the fast encoder; None where it fails: a panic of the Rust library is no Exception."""
    try:
        ids, offsets = encoder.encode(texts)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        return None
    return (ids, offsets) if len(offsets) == len(texts) + 1 else None
