"""Context parallelism: each rank of a group takes two slices of every sequence, one of its head and one of its tail.

Cut into 2 n chunks, rank r takes chunks r and 2 n - 1 - r, so that under a causal mask all ranks do the same work
(Llama 3, arXiv 2407.21783, section 3.3.2). All ranks of the group read the same batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from manifests.torch.batches import TorchBatch

_WITH_T = ("tokens", "targets", "position_ids", "segment_ids", "document_ids")


def head_tail(batch: TorchBatch, cp_rank: int, cp_size: int) -> TorchBatch:
    """This rank's slices of every row.

    Args:
        batch: Of whole rows, [B, T].
        cp_rank: The rank in its context-parallel group, from 0.
        cp_size: Ranks of the group.
    Returns:
        The batch with tokens, targets, position_ids (of the whole rows), segment_ids and document_ids [B, T / cp_size];
        other fields as they were.
    Raises:
        ValueError: T is no multiple of 2 * cp_size, or the rank is out of range.
    """
    _check(cp_rank, cp_size)
    length = batch.tokens.shape[1]
    if length % (2 * cp_size):
        raise ValueError(f"rows of {length} tokens cannot be cut into {2 * cp_size} chunks: pack rows of a multiple")
    positions = batch.position_ids
    if positions is None:
        positions = torch.arange(length, device=batch.tokens.device).expand_as(batch.tokens)
    whole = replace(batch, position_ids=positions)
    chunk = length // (2 * cp_size)

    def part(values: torch.Tensor) -> torch.Tensor:
        chunks = values.unflatten(1, (2 * cp_size, chunk))
        return torch.cat([chunks[:, cp_rank], chunks[:, 2 * cp_size - 1 - cp_rank]], 1)

    return replace(whole, **{name: part(value) for name in _WITH_T if (value := getattr(whole, name)) is not None})


def split_documents(batch: TorchBatch, cp_rank: int, cp_size: int, pad_documents_to: int | None = None,
                    pad_id: int = 0) -> TorchBatch:
    """This rank's slices of every document, for ring attention over documents of their own.

    Documents are laid end to end, without the padding of rows, each padded at its end to a multiple.

    Args:
        batch: With documents=True.
        cp_rank: The rank in its context-parallel group, from 0.
        cp_size: Ranks of the group.
        pad_documents_to: Documents get a multiple of so many tokens; 2 * cp_size by default, and a multiple of it.
        pad_id: The token that is put behind documents; its target is -100.
    Returns:
        tokens, targets, position_ids [1, N / cp_size]; cu_seqlens int32 [k + 1], bounds of the padded documents in all
        N tokens of the group; max_seqlen and n_tokens are those of the group. Fields of rows are left out.
    Raises:
        ValueError: The batch has no documents, or pad_documents_to is no multiple of 2 * cp_size.
    """
    _check(cp_rank, cp_size)
    multiple = pad_documents_to or 2 * cp_size
    if batch.cu_seqlens is None or batch.position_ids is None or multiple % (2 * cp_size):
        raise ValueError(f"need a batch with documents=True, and pad_documents_to {multiple} a multiple of "
                         f"{2 * cp_size}")
    bounds = batch.cu_seqlens.cpu().numpy().astype(np.int64)
    lengths = np.diff(bounds)
    padded = -(-lengths // multiple) * multiple
    whole = np.concatenate(([0], np.cumsum(padded)))
    own = padded // cp_size
    # Numbers of this rank's tokens within their documents: the chunk at the head, then the one at the tail.
    document = np.repeat(np.arange(len(own)), own)
    within = np.arange(len(document)) - np.repeat(np.cumsum(own) - own, own)
    chunk = (own // 2)[document]
    number = np.where(within < chunk, cp_rank * chunk + within, (2 * cp_size - 2 - cp_rank) * chunk + within)
    real = torch.from_numpy(number < lengths[document])
    source = torch.from_numpy(np.minimum(number, np.maximum(lengths[document] - 1, 0)) + bounds[:-1][document])
    device = batch.tokens.device
    real, source = real.to(device), source.to(device)
    if batch.token_order is not None:
        source = batch.token_order[source]
    return TorchBatch(
        tokens=torch.where(real, batch.tokens.flatten()[source], pad_id)[None],
        targets=torch.where(real, batch.targets.flatten()[source], -100)[None], rows=batch.rows,
        position_ids=torch.from_numpy(number).to(device)[None],
        cu_seqlens=torch.from_numpy(whole.astype(np.int32)).to(device), max_seqlen=int(padded.max(initial=0)),
        n_tokens=int(whole[-1]), segment_sources=batch.segment_sources, source_tokens=batch.source_tokens)


def _check(cp_rank: int, cp_size: int) -> None:
    if not 0 <= cp_rank < cp_size:
        raise ValueError(f"cp_rank {cp_rank}, cp_size {cp_size}: need 0 <= cp_rank < cp_size")
