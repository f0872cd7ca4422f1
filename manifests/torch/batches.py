"""Batches as tensors: tokens, targets, and what the row index says of their documents, in fixed shapes where asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from manifests.errors import InputError
from manifests.loader import PackedLoader
from manifests.row_facts import Segments

_MOST_BUFFERS: Final = 64  # of one shape: three of a batch, of those prepared and those that are held


@dataclass  # not frozen: Lightning moves batches by setting their fields
class TorchBatch:
    """One rank's part of a step. tokens, targets: int64 [B, T] on the device; -100 in targets is not to be learned.

    rows: int64 [B], on the host. sources: int64 [B], on the host, of mixtures (`TorchFeed`). The rest only with
    documents=True.

    position_ids: int32 [B, T], counting from 0 in each document. cu_seqlens: int32 [k + 1], bounds of the documents in
    the tokens that are no padding, laid end to end, and max_seqlen, as flash_attn_varlen_func takes them. token_order:
    int64 [B * T], the flat numbers of those tokens, then of padding; None where they follow one another as they are.
    n_tokens: how many of them are no padding. segment_sources: int32 [k], -1 where there is no document. source_tokens:
    int64 [B, sources], tokens of each source in each row, on the host.

    With max_documents, k is that number in every batch: what is missing has no tokens, max_seqlen is T, and token_order
    is always there; where there is no padding, all batches share it. With segment_ids as well: segment_ids int32
    [B, T], from 1 in each row, 0 is padding; document_ids int32 [B, T], from 0 in the batch, -1 is padding."""

    tokens: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor
    position_ids: torch.Tensor | None = None
    cu_seqlens: torch.Tensor | None = None
    max_seqlen: int = 0
    token_order: torch.Tensor | None = None
    n_tokens: int = 0
    segment_sources: torch.Tensor | None = None
    source_tokens: torch.Tensor | None = None
    segment_ids: torch.Tensor | None = None
    document_ids: torch.Tensor | None = None
    sources: torch.Tensor | None = None


ON_HOST = frozenset({"rows", "sources", "source_tokens"})


def tensors_of(batch: TorchBatch) -> dict[str, torch.Tensor]:
    """The tensors of a batch, by name."""
    values = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def _references_to_unused() -> int:
    """How many references there are to an array that a list alone holds, those that counting makes among them."""
    counts = 0
    for array in [np.empty(1)]:
        counts = sys.getrefcount(array)
    return counts


_UNUSED: Final = _references_to_unused()


def _padding_last(segments: Segments, lengths: Any) -> Any:
    """Flat numbers of tokens that are no padding, then of padding, int64 [B * T]."""
    is_padding = np.repeat(segments.is_padding, lengths)
    return np.concatenate([np.flatnonzero(~is_padding), np.flatnonzero(is_padding)])


class Buffers:
    """Arrays that are used again when nobody holds them any more, by their reference counts: a tensor made of an array,
    and every view of it, holds it. Fresh memory for every batch costs a thread more than filling it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[tuple[int, ...], Any], list[npt.NDArray[Any]]] = {}

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        """An array that nobody else holds, with any content."""
        arrays = self._arrays.setdefault((shape, np.dtype(dtype)), [])
        for array in arrays:
            if sys.getrefcount(array) <= _UNUSED:
                return array
        array = np.empty(shape, dtype)
        if len(arrays) < _MOST_BUFFERS:
            arrays.append(array)
        return array

    def __reduce__(self) -> tuple[type[Buffers], tuple[()]]:
        return Buffers, ()


class Steps:
    """A map from how many rows were handed out to this rank's batch of the step that begins there, in host memory.

    Args:
        order: The loader whose order it is.
        documents: Whether batches say what the row index does.
        max_documents: Documents and gaps of a batch for which there is room, in every batch; None: as many as it has.
        segment_ids: Whether they have segment_ids and document_ids too.
    Raises:
        ValueError: max_documents is not positive, or documents=False with what needs them.
    """

    def __init__(self, order: PackedLoader, documents: bool = False, max_documents: int | None = None,
                 segment_ids: bool = False) -> None:
        if not documents and (max_documents is not None or segment_ids):
            raise ValueError("max_documents and segment_ids need documents=True")
        if max_documents is not None and max_documents < 1:
            raise ValueError(f"max_documents {max_documents}: need at least 1, or None")
        self.order, self.documents = order, documents
        self.max_documents, self.segment_ids = max_documents, segment_ids
        self._buffers = Buffers()
        self._as_they_are: torch.Tensor | None = None
        self._n_sources = max(order.dataset.source_names, default=0) + 1 if documents else 0

    def __getitem__(self, handed_out: int) -> TorchBatch:
        batch, segments = self.order.read(handed_out, self.documents, as_int64=True, empty=self._buffers)
        facts = self._documents(segments) if segments is not None else {}
        return TorchBatch(torch.from_numpy(batch.tokens), torch.from_numpy(batch.targets),
                          torch.from_numpy(batch.rows.copy()), **facts)

    def _documents(self, segments: Segments) -> dict[str, Any]:
        bounds, sources = segments.cu_seqlens, segments.source_ids
        lengths, n_tokens = bounds[1:] - bounds[:-1], int(bounds[-1])
        has_padding = np.count_nonzero(segments.is_padding) > 0  # .any() takes eight times as long for so few
        facts: dict[str, Any] = {"position_ids": torch.from_numpy(segments.position_ids),
                                 "source_tokens": torch.from_numpy(self._source_tokens(segments, lengths))}
        if self.segment_ids:
            facts |= self._ids(segments, lengths)
        if has_padding or self.max_documents is not None:
            facts["token_order"] = torch.from_numpy(_padding_last(segments, lengths)) if has_padding else (
                self._unpadded(n_tokens))
        if has_padding:
            kept = ~segments.is_padding
            lengths = lengths[kept]
            bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
            sources, n_tokens = sources[kept], int(bounds[-1])
        longest = int(lengths.max()) if len(lengths) else 0
        if self.max_documents is not None:
            missing = self.max_documents - len(sources)
            if missing < 0:
                raise self._too_many(len(sources))
            bounds = np.append(bounds, np.full(missing, bounds[-1], np.int32))
            sources, longest = np.append(sources, np.full(missing, -1, np.int32)), self.order.dataset.row_length
        facts |= {"cu_seqlens": torch.from_numpy(bounds), "max_seqlen": longest, "n_tokens": n_tokens,
                  "segment_sources": torch.from_numpy(sources)}
        return facts

    def _unpadded(self, n_tokens: int) -> torch.Tensor:
        """The order of tokens none of which is padding: one tensor; writing it costs as much as a batch's tokens."""
        if self._as_they_are is None or len(self._as_they_are) != n_tokens:
            self._as_they_are = torch.arange(n_tokens)
        return self._as_they_are

    def _source_tokens(self, segments: Segments, lengths: Any) -> Any:
        """Tokens of each source in each row, int64 [B, sources]."""
        n_rows, n_sources = len(segments.position_ids), self._n_sources
        # In a column more than there are sources, the first one, what is of none, -1, is counted.
        cell = segments.cu_seqlens[:-1] // self.order.dataset.row_length * (n_sources + 1) + (segments.source_ids + 1)
        counts = np.bincount(cell, lengths, n_rows * (n_sources + 1)).reshape(n_rows, n_sources + 1)
        return counts[:, 1:].astype(np.int64)

    def _ids(self, segments: Segments, lengths: Any) -> dict[str, Any]:
        shape, kept = segments.position_ids.shape, ~segments.is_padding
        number = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        row = segments.cu_seqlens[:-1] // self.order.dataset.row_length
        before: Any = (np.cumsum(kept) - kept)[np.searchsorted(row, row)]  # segments of the rows before
        in_row = np.where(kept, number + 1 - before, 0).astype(np.int32)
        return {"segment_ids": torch.from_numpy(np.repeat(in_row, lengths).reshape(shape)),
                "document_ids": torch.from_numpy(np.repeat(number, lengths).reshape(shape))}

    def _too_many(self, n: int) -> InputError:
        dataset = self.order.dataset
        enough = f"{self.order.batch_rows * dataset.most_segments} are always enough" if dataset.most_segments else (
            f"give at least {n}")
        return InputError(f"a batch has {n} documents, and max_documents is {self.max_documents}",
                          where=dataset.where, hint=f"{enough}, or fewer rows in a batch")
