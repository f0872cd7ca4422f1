"""Batches prepared by a thread, on the device before they are asked for."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from manifests.torch.batches import ON_HOST, TorchBatch, tensors_of

_Prepared = tuple[TorchBatch, Any]


class Ahead:
    """A thread that brings batches to the device before they are asked for.

    It lives in one process: after a fork the child has no such thread (`is_here`), and starts one of its own."""

    def __init__(self, batches: Iterator[TorchBatch], device: torch.device, ahead: int) -> None:
        self._batches, self._device = batches, device
        # Both queues are C's own: Python's bounded one costs a batch as much as its tensors. One ticket, some batches:
        # each handing over is two changes of threads, which cost a third of a batch.
        self._prepared: queue.SimpleQueue[list[_Prepared] | BaseException] = queue.SimpleQueue()
        self._tickets: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._together = -(-ahead // 2)
        self._ready: list[_Prepared] = []  # the next one last
        self._tickets.put(True)  # those that are handed over are used while the next ones are prepared
        self._process, self._stopped = os.getpid(), False
        self._thread = threading.Thread(target=self._work, name="packed-loader", daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """Whether the thread runs in this process."""
        return self._process == os.getpid()

    def take(self) -> TorchBatch:
        """The next batch; what went wrong in the thread, or its end, is raised here, and again at every later call."""
        if not self._ready:
            prepared = self._prepared.get()
            if isinstance(prepared, BaseException):
                self._prepared.put(prepared)
                raise prepared
            self._tickets.put(True)
            self._ready = prepared[::-1]
        batch, copied = self._ready.pop()
        if copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(copied)
            for tensor in tensors_of(batch).values():
                if tensor.is_cuda:
                    tensor.record_stream(stream)  # its memory was allocated on the copying stream
        return batch

    def close(self) -> None:
        """Ask the thread to end and wait for it; prepared batches are dropped."""
        self._stopped = True
        self._tickets.put(False)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        try:
            stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
            while self._tickets.get() and not self._stopped:
                self._prepare(stream)
        except BaseException as error:
            self._prepared.put(error)

    def _prepare(self, stream: Any) -> None:
        """Hand over the next batches; those before an error, or the end, come before it."""
        prepared: list[_Prepared] = []
        try:
            for _ in range(self._together):
                prepared.append(self._moved(next(self._batches), stream))
        finally:
            if prepared:
                self._prepared.put(prepared)

    def _moved(self, batch: TorchBatch, stream: Any) -> tuple[TorchBatch, Any]:
        """The batch on the device, and the event after which its copy is done (None where there is nothing to wait)."""
        if stream is None:
            return moved(batch, self._device), None
        with torch.cuda.stream(stream):
            return moved(batch, self._device, pinned=True), stream.record_event()


def moved(batch: TorchBatch, device: torch.device, pinned: bool = False) -> TorchBatch:
    """A batch on a device, but for what stays on the host. pinned: by way of pinned memory, without waiting."""
    if device.type == "cpu":
        return batch
    tensors = {n: t for n, t in tensors_of(batch).items() if n not in ON_HOST}
    there = {n: t.pin_memory().to(device, non_blocking=True) if pinned else t.to(device) for n, t in tensors.items()}
    return replace(batch, **there)
