"""Batches prepared by a thread, on the device before they are asked for."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any, Final

import torch

from manifests.torch.batches import ON_HOST, TorchBatch, tensors_of

_WAIT_SECONDS: Final = 0.1  # how long a thread that works ahead sleeps before it looks whether it is still wanted


class Ahead:
    """A thread that brings batches to the device before they are asked for.

    It lives in one process: after a fork the child has no such thread (`is_here`), and starts one of its own."""

    def __init__(self, batches: Iterator[TorchBatch], device: torch.device, ahead: int) -> None:
        self._batches, self._device = batches, device
        self._prepared: queue.Queue[tuple[TorchBatch, Any] | BaseException] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="packed-loader", daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """Whether the thread runs in this process."""
        return self._process == os.getpid()

    def take(self) -> TorchBatch:
        """The next batch; what went wrong in the thread, or its end, is raised here, and again at every later call."""
        item = self._prepared.get()
        if isinstance(item, BaseException):
            self._prepared.put(item)
            raise item
        batch, copied = item
        if copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(copied)
            for tensor in tensors_of(batch).values():
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
            self._put(StopIteration())
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
        tensors = {n: t for n, t in tensors_of(batch).items() if n not in ON_HOST}
        kept = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name not in tensors}
        if stream is None:
            return TorchBatch(**kept, **{n: t.to(self._device) for n, t in tensors.items()}), None
        with torch.cuda.stream(stream):
            moved = {n: t.pin_memory().to(self._device, non_blocking=True) for n, t in tensors.items()}
            return TorchBatch(**kept, **moved), stream.record_event()
