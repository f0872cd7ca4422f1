"""The packed dataset as PyTorch takes it: batches of tensors on a device, prepared ahead, resumable at any step.

    loader = TorchLoader(PackedDataset("runs/gpt3", "train"), batch_rows=8, device="cuda")
    for batch in loader:
        loss = model(batch.tokens, batch.targets)

Needs torch (the extra `torch`). A thread, and worker processes where asked for, work ahead; `state_dict` counts what
the training loop has been given, never what was only prepared.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from manifests.dataset import PackedDataset
from manifests.loader import PackedLoader

_WAIT_SECONDS = 0.1  # how long a thread that works ahead sleeps before it looks whether it is still wanted


@dataclass(frozen=True)
class TorchBatch:
    """One rank's part of a step. tokens, targets: int64 [B, T] on the device; -100 in targets is not to be learned.

    rows: int64 [B], on the host. The rest only with documents=True: position_ids int64 [B, T], counting from 0 in each
    document; cu_seqlens int32 [k + 1], bounds of the documents in the B * T tokens laid end to end, and max_seqlen, as
    flash_attn_varlen_func takes them; segment_sources int32 [k], -1 where there is no document; source_tokens int64
    [B, sources], tokens of each source in each row, on the host."""

    tokens: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor
    position_ids: torch.Tensor | None = None
    cu_seqlens: torch.Tensor | None = None
    max_seqlen: int = 0
    segment_sources: torch.Tensor | None = None
    source_tokens: torch.Tensor | None = None


_ON_HOST = {"rows", "source_tokens", "max_seqlen"}


class TorchLoader:
    """An endless iterator of TorchBatch, in the order of `manifests.PackedLoader`.

    On CUDA, batches are copied from pinned memory on a stream of their own, so the training stream never waits for a
    copy that is already done. Close it, or leave it to the garbage collector.

    Args:
        dataset: The rows of one split.
        batch_rows: Rows of a batch on one rank.
        rank: This rank; that of torch.distributed where it is initialised, else 0.
        world_size: How many ranks there are; that of torch.distributed where it is initialised, else 1.
        seed: Names the order.
        device: Where tokens and targets go.
        documents: Whether batches say what the spans do: boundaries, positions and sources.
        workers: Processes that read; 0 is a thread alone, enough for local disks.
        ahead: Steps prepared before they are asked for.
    Raises:
        ValueError: A number is out of range.
        InputError: The split has no rows.
    """

    def __init__(self, dataset: PackedDataset, batch_rows: int, rank: int | None = None, world_size: int | None = None,
                 seed: int = 0, device: str | torch.device = "cpu", documents: bool = False, workers: int = 0,
                 ahead: int = 4) -> None:
        if rank is None or world_size is None:
            rank, world_size = _rank_and_world_size()
        if workers < 0 or ahead < 1:
            raise ValueError(f"workers {workers}, ahead {ahead}: need workers >= 0 and ahead >= 1")
        self.dataset, self.device = dataset, torch.device(device)
        self.order = PackedLoader(dataset, batch_rows, rank, world_size, seed)
        self.documents, self.workers, self.ahead = documents, workers, ahead
        self._handed_out = 0
        self._running: _Ahead | None = None

    def __iter__(self) -> Iterator[TorchBatch]:
        return self

    def __next__(self) -> TorchBatch:
        if self._running is None:
            self._running = _Ahead(self._batches(self._handed_out), self.device, self.ahead)
        batch = self._running.take()
        self._handed_out += self.order.rows_per_step
        return batch

    def state_dict(self) -> dict[str, int | str]:
        """Rows handed out over all ranks, and of what; the same on every rank, so one rank may save it."""
        return self.order.state_dict() | {"rows": self._handed_out}

    def load_state_dict(self, state: Mapping[str, Any], accept_successor: bool = False) -> None:
        """Go on where a state was taken, with any world size and batch_rows; DatasetMismatchError for other data.

        accept_successor: as `PackedLoader.load_state_dict` takes it, after documents were removed."""
        self.order.load_state_dict(state, accept_successor)
        self.close()
        self._handed_out = int(state["rows"])

    def close(self) -> None:
        """Stop working ahead; the next batch starts again where the last one ended."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def __del__(self) -> None:
        if getattr(self, "_running", None) is not None:
            self.close()

    def _batches(self, first: int) -> Iterator[TorchBatch]:
        """Batches in host memory from a position in the order on, by this process or by workers of DataLoader."""
        positions = itertools.count(first, self.order.rows_per_step)
        steps = _Steps(self.order, self.documents)
        if not self.workers:
            return map(steps.__getitem__, positions)
        return iter(DataLoader(steps, batch_size=None, sampler=positions, num_workers=self.workers,
                               prefetch_factor=self.ahead, multiprocessing_context="forkserver"))


class _Steps:
    """A map from a position in the order to this rank's batch of the step that begins there: what DataLoader reads.

    Its workers each open the dataset for themselves and are given positions in turn, so their batches come in order."""

    def __init__(self, order: PackedLoader, documents: bool) -> None:
        self.order, self.documents = order, documents

    def __getstate__(self) -> dict[str, Any]:
        order = self.order
        return {"path": order.dataset.folder, "split": order.dataset.split, "documents": self.documents,
                "order": (order.batch_rows, order.rank, order.world_size, order.seed)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.order = PackedLoader(PackedDataset(state["path"], state["split"]), *state["order"])
        self.documents = state["documents"]

    def __getitem__(self, handed_out: int) -> TorchBatch:
        batch = self.order.at(handed_out)
        batch_of = {"tokens": torch.from_numpy(batch.tokens.astype(np.int64)),
                    "targets": torch.from_numpy(batch.targets), "rows": torch.from_numpy(batch.rows.copy())}
        return TorchBatch(**batch_of, **(self._documents(batch.rows) if self.documents else {}))

    def _documents(self, rows: Any) -> dict[str, Any]:
        dataset = self.order.dataset
        segments = dataset.segments(rows)
        lengths = np.diff(segments.cu_seqlens)
        n_sources = max(dataset.source_names, default=0) + 1
        tokens = np.zeros((len(rows), n_sources), np.int64)
        known = segments.source_ids >= 0
        row = segments.cu_seqlens[:-1] // dataset.row_length
        np.add.at(tokens, (row[known], segments.source_ids[known]), lengths[known])
        return {"position_ids": torch.from_numpy(segments.position_ids.astype(np.int64)),
                "cu_seqlens": torch.from_numpy(segments.cu_seqlens), "max_seqlen": int(lengths.max()),
                "segment_sources": torch.from_numpy(segments.source_ids), "source_tokens": torch.from_numpy(tokens)}


class _Ahead:
    """A thread that brings batches to the device before they are asked for."""

    def __init__(self, batches: Iterator[TorchBatch], device: torch.device, ahead: int) -> None:
        self._batches, self._device = batches, device
        self._prepared: queue.Queue[tuple[TorchBatch, Any] | BaseException] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="packed-loader", daemon=True)
        self._thread.start()

    def take(self) -> TorchBatch:
        """The next batch; what went wrong in the thread is raised here, and again at every later call."""
        item = self._prepared.get()
        if isinstance(item, BaseException):
            self._prepared.put(item)
            raise item
        batch, copied = item
        if copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(copied)
            for tensor in _tensors(batch).values():
                if tensor.is_cuda:
                    tensor.record_stream(stream)  # its memory was allocated on the copying stream
        return batch

    def close(self) -> None:
        """Ask the thread to end and wait for it; prepared batches are dropped, for the queue may be full."""
        self._stop.set()
        while self._thread is not threading.current_thread() and self._thread.is_alive():
            with suppress(queue.Empty):
                self._prepared.get_nowait()
            self._thread.join(_WAIT_SECONDS / 20)

    def _work(self) -> None:
        try:
            stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
            for batch in self._batches:
                if not self._put(self._moved(batch, stream)):
                    return
        except BaseException as error:
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._prepared.put(item, timeout=_WAIT_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def _moved(self, batch: TorchBatch, stream: Any) -> tuple[TorchBatch, Any]:
        """The batch on the device, and the event after which its copy is done (None where there is nothing to wait)."""
        if self._device.type == "cpu":
            return batch, None
        tensors = {n: t for n, t in _tensors(batch).items() if n not in _ON_HOST}
        kept = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name not in tensors}
        if stream is None:
            return TorchBatch(**kept, **{n: t.to(self._device) for n, t in tensors.items()}), None
        with torch.cuda.stream(stream):
            moved = {n: t.pin_memory().to(self._device, non_blocking=True) for n, t in tensors.items()}
            return TorchBatch(**kept, **moved), stream.record_event()


def _tensors(batch: TorchBatch) -> dict[str, torch.Tensor]:
    values = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def _rank_and_world_size() -> tuple[int, int]:
    """(rank, world size) of the process in torch.distributed; (0, 1) where it is not used."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
