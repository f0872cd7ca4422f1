"""Files of texts to token parts that `curate pack` reads: what `curate tokenizer encode` does."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import document_id, id_words
from manifests.schema import ID, TOKENS
from manifests.tables import write_table
from tokenizer.encoding.agreement import EQUAL, EncodeConfig, differing, sampled_rows
from tokenizer.encoding.encode import Encoder
from tokenizer.encoding.tokens import TokenFile

TOKENS_WITH_ID = TOKENS.append(pa.field("id", pa.string(), nullable=False))
"""The index of a part: TOKENS, and the row's own id."""
_HEX_ID = re.compile(r"[0-9a-f]{32}")
_BLOCK_BYTES = 16 << 20  # of text that are encoded at a time
Rows = Iterable[tuple[pa.Array, pa.Array, pa.Array]]


@dataclass(frozen=True, slots=True)
class TextFile:
    """An input. part: the file name of its index. rows: reads its (ids, texts, groups) anew, in order; strings, null
    where a row has no text or no group."""

    path: str
    part: str
    rows: Callable[[], Rows]


@dataclass(slots=True)
class Encoded:
    """What became of the files. reference_documents: texts that the reference encoded, where the fast encoder did the
    others. differing: files, and ids of checked texts there on which the encoders differed."""

    documents: int = 0
    empty: int = 0
    bytes: int = 0
    tokens: int = 0
    checked_documents: int = 0
    reference_documents: int = 0
    by_reference: bool = False
    differing: list[tuple[str, str]] = field(default_factory=list)


class _DifferError(Exception):
    """The encoders gave different ids; what was encoded so far is not to be trusted."""


def encode_files(files: Sequence[TextFile], encoder: Encoder, out: str, config: EncodeConfig,
                 done: Callable[[str, int], None]) -> Encoded:
    """Encode files into OUT: an index `part-….parquet` each (TOKENS_WITH_ID), its ids in `tokens/part-….tokens`, and
    the tokenizer in `tokenizer/tokenizer.json`; rows in input order, the same bytes for the same input.

    A row without text has no tokens. Where the fast encoder differs from the reference on a checked text, or fails, all
    files are encoded again by the reference, which the result says. done: told of each finished file and its rows."""
    encoder.eot_id  # noqa: B018 (refuses a tokenizer that nothing can be packed with)
    stage = os.path.join(out, ".tmp")
    try:
        try:
            result = _encode(files, encoder, stage, config, config.fast and encoder.fast, done)
        except _DifferError as error:
            result = _encode(files, encoder, stage, config, False, done)
            result.differing = list(error.args[0])
        with open(os.path.join(stage, "tokenizer.json"), "wb") as file:
            file.write(encoder.data)
        _publish(stage, out, files)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return result


def _encode(files: Sequence[TextFile], encoder: Encoder, stage: str, config: EncodeConfig, fast: bool,
            done: Callable[[str, int], None]) -> Encoded:
    shutil.rmtree(stage, ignore_errors=True)
    os.makedirs(stage)
    result = Encoded(by_reference=not fast)
    for file in files:
        with open(os.path.join(stage, _tokens_name(file)), "wb") as stream:
            part = _Part(file, encoder, TokenFile(encoder, stream, fast), config, result)
            n = write_table(os.path.join(stage, file.part), TOKENS_WITH_ID, part.tables())
        result.documents += n
        result.bytes += part.out.n_bytes
        result.tokens += part.out.n_tokens
        result.reference_documents += part.out.n_apart
        done(file.path, n)
    return result


class _Part:
    """One file on its way to token files."""

    def __init__(self, file: TextFile, encoder: Encoder, out: TokenFile, config: EncodeConfig, result: Encoded) -> None:
        self.out = out
        self._file, self._encoder, self._config, self._result = file, encoder, config, result
        self._fast = out.fast

    def tables(self) -> Iterator[pa.Table]:
        row = 0
        for ids, texts, groups in self._blocks():
            doc_ids = pa.array([_doc_id(self._file.part, row + i, name) for i, name in enumerate(ids.to_pylist())],
                               pa.binary(16))
            if self._fast:
                self._check(ids, texts, doc_ids, row == 0)
            starts, lengths = self.out.add(texts)
            if self._fast and not self.out.fast:
                raise _DifferError([])
            self._result.empty += int((lengths == 0).sum())
            row += len(ids)
            held = pa.array([None if name is None else _own_id(name) or document_id("group", "", name)
                             for name in groups.to_pylist()], ID)
            columns = [doc_ids, pa.array(starts), pa.array(lengths), held, ids]
            yield pa.table(columns, schema=TOKENS_WITH_ID)

    def _blocks(self) -> Iterator[tuple[pa.Array, pa.Array, pa.Array]]:
        for ids, texts, groups in self._file.rows():
            whole: Any = pc.fill_null(texts.cast(pa.large_string()), "")
            ends = np.cumsum(pc.binary_length(whole).to_numpy(zero_copy_only=False))
            first = 0
            while first < len(whole):
                before = int(ends[first - 1]) if first else 0
                end = max(first + 1, int(np.searchsorted(ends, before + _BLOCK_BYTES, "right")))
                names, held = (column.slice(first, end - first).cast(pa.string()) for column in (ids, groups))
                yield names, whole.slice(first, end - first), held
                first = end

    def _check(self, ids: pa.Array, texts: pa.Array, doc_ids: pa.Array, first: bool) -> None:
        rows = sampled_rows(self._config, texts, id_words(doc_ids), first)
        places = differing(self._encoder, texts.take(pa.array(rows)))
        self._result.checked_documents += len(rows)
        if bad := rows[places != EQUAL].tolist():
            raise _DifferError([(self._file.path, ids[i].as_py()) for i in bad])


def _doc_id(part: str, row: int, name: str) -> bytes:
    """A row's own id where it is one of a run's documents, else a hash of part, row and id."""
    return _own_id(name) or document_id("", part, f"{row}\0{name}")


def _own_id(name: str) -> bytes | None:
    """An id of a run in hexadecimal, as its tables are read; None for any other name."""
    return bytes.fromhex(name) if _HEX_ID.fullmatch(name) else None


def _tokens_name(file: TextFile) -> str:
    return f"{os.path.splitext(file.part)[0]}.tokens"


def _publish(stage: str, out: str, files: Sequence[TextFile]) -> None:
    """Move what was made into its place, indexes last: without one, tokens are nobody's."""
    for folder in ("tokens", "tokenizer"):
        os.makedirs(os.path.join(out, folder), exist_ok=True)
    moves = [("tokenizer.json", "tokenizer/tokenizer.json"), *((_tokens_name(f), f"tokens/{_tokens_name(f)}")
                                                               for f in files), *((f.part, f.part) for f in files)]
    for file in files:
        if os.path.exists(os.path.join(out, file.part)):
            os.unlink(os.path.join(out, file.part))
    for name, place in moves:
        os.replace(os.path.join(stage, name), os.path.join(out, place))
