"""Shapes that stay the same, padding that attention does not pay for, and slices for context parallelism."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here: make test-torch")

from manifests import InputError, PackedDataset  # noqa: E402
from manifests.torch import TorchBatch, TorchLoader, head_tail, split_documents  # noqa: E402
from tests.unit.manifests.test_dataset import T, make_dataset, span  # noqa: E402

pytestmark = pytest.mark.torch

SPANS = [span(1, 3), span(8, 2), span(10, 3, source_id=0), span(16, 8)]
ROWS = [[1, 3, -4], [2, 3, -3], [8]]  # segments of the three rows; padding is negative


@pytest.fixture
def data(tmp_path: Path) -> PackedDataset:
    return PackedDataset(make_dataset(tmp_path, [3], packing="pad", spans=SPANS), "train")


def batch_of(data: PackedDataset, **options: object) -> TorchBatch:
    loader = TorchLoader(data, 3, documents=True, order="sequence", **options)  # type: ignore[arg-type]
    batch = next(loader)
    loader.close()
    return batch


def test_padding_is_no_segment(data: PackedDataset) -> None:
    """Only documents are segments of cu_seqlens; the tokens that they are made of come first in token_order."""
    batch = batch_of(data, segment_ids=True)
    assert batch.cu_seqlens is not None
    assert batch.token_order is not None
    assert batch.segment_sources is not None
    assert np.diff(batch.cu_seqlens).tolist() == [1, 3, 2, 3, 8]
    assert (batch.n_tokens, batch.max_seqlen) == (17, 8)
    real = [0, 1, 2, 3, 8, 9, 10, 11, 12, *range(16, 24)]
    assert batch.token_order.tolist() == [*real, *(t for t in range(24) if t not in real)]
    assert batch.segment_sources.tolist() == [-1, 0, 0, 0, 0]
    assert batch.segment_ids is not None
    assert batch.document_ids is not None
    assert batch.segment_ids.tolist() == [[1, 2, 2, 2, 0, 0, 0, 0], [1, 1, 2, 2, 2, 0, 0, 0], [1] * 8]
    assert batch.document_ids.tolist() == [[0, 1, 1, 1, -1, -1, -1, -1], [2, 2, 3, 3, 3, -1, -1, -1], [4] * 8]
    assert batch.segment_ids.dtype == batch.document_ids.dtype == batch.cu_seqlens.dtype == torch.int32
    learned = batch.targets.flatten() >= 0
    assert set(torch.nonzero(learned).flatten().tolist()) <= set(real)  # nothing that is learned is padding


def test_shapes_do_not_change(data: PackedDataset) -> None:
    wide, own = batch_of(data, max_documents=9, segment_ids=True), batch_of(data)
    assert wide.cu_seqlens is not None
    assert own.cu_seqlens is not None
    assert wide.cu_seqlens.tolist() == [*own.cu_seqlens.tolist(), *[17] * 4]
    assert wide.segment_sources is not None
    assert wide.segment_sources.shape == (9,)
    assert wide.max_seqlen == T
    assert wide.token_order is not None
    assert wide.token_order.shape == (24,)
    with pytest.raises(InputError, match=r"has 5 documents, and max_documents is 4.*9 are always enough"):
        batch_of(data, max_documents=4)
    shapes = set()
    loader = TorchLoader(data, 2, documents=True, max_documents=9, passes=1)
    for batch in loader:
        shapes.add(tuple(getattr(batch, n).shape for n in ("tokens", "cu_seqlens", "segment_sources", "token_order")))
    assert len(shapes) == 1
    for wrong in ({"max_documents": 0}, {"documents": False, "max_documents": 3}):
        with pytest.raises(ValueError, match="max_documents"):
            TorchLoader(data, 2, **({"documents": True} | wrong))  # type: ignore[arg-type]


def test_attention_over_documents_alone(data: PackedDataset) -> None:
    """Attention per segment of cu_seqlens, over token_order, is that of a mask of equal document_ids."""
    batch = batch_of(data, segment_ids=True)
    assert batch.cu_seqlens is not None
    assert batch.token_order is not None
    assert batch.document_ids is not None
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
    same = batch.document_ids[:, :, None] == batch.document_ids[:, None, :]
    mask = same & (batch.document_ids >= 0)[:, :, None] & torch.ones(T, T).tril().bool()
    wanted = torch.nn.functional.scaled_dot_product_attention(*[x.view(3, T, 4)] * 3, attn_mask=mask).view(24, 4)
    found = torch.zeros(24, 4)
    for low, high in zip(batch.cu_seqlens[:-1].tolist(), batch.cu_seqlens[1:].tolist(), strict=True):
        here = batch.token_order[low:high]
        part = x[here][None]
        found[here] = torch.nn.functional.scaled_dot_product_attention(part, part, part, is_causal=True)[0]
    real = batch.token_order[: batch.n_tokens]
    assert torch.allclose(found[real], wanted[real], atol=1e-6)
    pairs = (np.diff(batch.cu_seqlens.numpy()).astype(int) ** 2).sum()
    assert pairs == 1 + 9 + 4 + 9 + 64


def test_flex_attention_takes_the_ids(data: PackedDataset) -> None:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    batch = batch_of(data, segment_ids=True)
    ids = batch.document_ids
    assert ids is not None

    def allowed(b: Any, h: Any, q: Any, k: Any) -> Any:
        return (ids[b, q] == ids[b, k]) & (ids[b, q] >= 0) & (q >= k)

    x = torch.randn(3, 1, T, 16, generator=torch.Generator().manual_seed(0))
    blocks = create_block_mask(allowed, 3, None, T, T, device="cpu", BLOCK_SIZE=8)
    found = flex_attention(x, x, x, block_mask=blocks)
    mask = (ids[:, :, None] == ids[:, None, :]) & (ids >= 0)[:, :, None] & torch.ones(T, T).tril().bool()
    wanted = torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask[:, None])
    assert torch.allclose(found[ids[:, None] >= 0], wanted[ids[:, None] >= 0], atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_head_and_tail_of_rows(data: PackedDataset, size: int) -> None:
    """Put back where they were, the ranks' slices are the rows."""
    batch = batch_of(data, segment_ids=True)
    parts = [head_tail(batch, rank, size) for rank in range(size)]
    chunk = T // (2 * size)
    for name in ("tokens", "targets", "position_ids", "segment_ids", "document_ids"):
        chunks: list[Any] = [torch.empty(0)] * (2 * size)
        for rank, part in enumerate(parts):
            values = getattr(part, name)
            assert values.shape == (3, T // size)
            chunks[rank], chunks[2 * size - 1 - rank] = values[:, :chunk], values[:, chunk:]
        assert torch.equal(torch.cat(chunks, 1), getattr(batch, name))
    plain = next(TorchLoader(data, 3, order="sequence"))
    positions = head_tail(plain, 0, size).position_ids
    assert positions is not None
    assert positions[0].tolist() == [*range(chunk), *range(T - chunk, T)]
    with pytest.raises(ValueError, match="chunks"):
        head_tail(batch, 0, 3)
    with pytest.raises(ValueError, match="cp_rank"):
        head_tail(batch, size, size)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_head_and_tail_of_documents(data: PackedDataset, size: int) -> None:
    """Every document alone, padded to a multiple of 2 * size: each rank has a 2 size-th of its head and of its tail."""
    batch = batch_of(data, max_documents=7)
    parts = [split_documents(batch, rank, size, pad_id=99) for rank in range(size)]
    documents = [list(range(row * T + start, row * T + start + n))
                 for row, lengths in enumerate(ROWS) for start, n in zip(np.cumsum([0, *map(abs, lengths)]), lengths,
                                                                         strict=False) if n > 0]
    tokens, targets = batch.tokens.flatten().tolist(), batch.targets.flatten().tolist()
    bounds = [0]
    wanted: list[list[tuple[int, int, int]]] = [[] for _ in range(size)]
    for document in documents:
        n = -(-len(document) // (2 * size)) * 2 * size
        bounds.append(bounds[-1] + n)
        padded = [(tokens[t], targets[t], i) for i, t in enumerate(document)]
        padded += [(99, -100, i) for i in range(len(document), n)]
        chunk = n // (2 * size)
        for rank in range(size):
            wanted[rank] += padded[rank * chunk : (rank + 1) * chunk]
            wanted[rank] += padded[(2 * size - 1 - rank) * chunk : (2 * size - rank) * chunk]
    for rank, part in enumerate(parts):
        assert part.cu_seqlens is not None
        assert part.position_ids is not None
        assert part.cu_seqlens.tolist() == [*bounds, *[bounds[-1]] * 2]
        assert part.tokens.shape == (1, bounds[-1] // size)
        assert list(zip(part.tokens[0].tolist(), part.targets[0].tolist(), part.position_ids[0].tolist(),
                        strict=True)) == wanted[rank]
    with pytest.raises(ValueError, match="multiple"):
        split_documents(batch, 0, size, pad_documents_to=2 * size + 1)


def test_what_is_held_is_not_written_to(data: PackedDataset) -> None:
    """Arrays are used again, but never while any tensor or view of one is there."""
    loader = TorchLoader(data, 3, documents=True, ahead=0)
    kept = [next(loader) for _ in range(20)]
    views = [(batch.tokens[1:, 2:], batch.targets.T, batch.tokens[1:, 2:].tolist()) for batch in kept[:5]]
    copies = [(batch.tokens.clone(), batch.targets.clone(), batch.position_ids.clone()) for batch in kept]  # type: ignore[union-attr]
    del kept[:5]
    for _ in range(40):
        next(loader)
    assert [view.tolist() for view, _, _ in views] == [values for _, _, values in views]
    for batch, (tokens, targets, positions) in zip(kept, copies[5:], strict=True):
        assert torch.equal(batch.tokens, tokens)
        assert torch.equal(batch.targets, targets)
        assert torch.equal(batch.position_ids, positions)
    places = {next(loader).tokens.data_ptr() for _ in range(50)}
    assert len(places) <= 4


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_without_a_thread_it_is_the_same(data: PackedDataset, ahead: int) -> None:
    loader = TorchLoader(data, 2, ahead=ahead, passes=2)
    assert [batch.rows.tolist() for batch in loader] == [r.rows.tolist() for r in TorchLoader(data, 2, passes=2)]
    assert loader.epoch == 2
