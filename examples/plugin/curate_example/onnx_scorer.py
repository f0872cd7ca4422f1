"""A scorer: a model in the ONNX format, from a file, on one thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

N_FEATURES = 256
"""Features of a text: how often each byte occurs in it."""


class OnnxScorer:
    """Scores by an ONNX model of byte frequencies, float32 [n, 256] in, float32 [n, 1] or [n] in 0 to 1 out."""

    class Parameters(BaseModel):
        """model: the file, which the run knows by its digest."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        model: Path
        max_bytes: int = Field(10_000, ge=1, description="Bytes of a text, from its start, that are looked at.")

    def __init__(self, parameters: Parameters) -> None:
        # Imported here: a recipe is checked, and `curate plugins` lists, without loading it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # A worker owns one core; and sums of one thread are the same whatever the machine.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self._session = onnxruntime.InferenceSession(
            str(parameters.model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._max_bytes = parameters.max_bytes

    def scores(self, texts: pa.LargeStringArray) -> npt.NDArray[np.float32]:
        """One text at a time: a row of a larger product may be summed in another order, and a score must not depend on
        the texts beside it."""
        rows = [self._session.run(None, {self._input: features(text, self._max_bytes)[None]})[0] for text in texts]
        return np.asarray(rows, np.float32).reshape(len(texts))


def features(text: pa.LargeStringScalar, max_bytes: int) -> npt.NDArray[np.float32]:
    """Share of each byte among the first bytes of a text, float32 [256]."""
    data = np.frombuffer(text.as_buffer(), np.uint8)[:max_bytes]
    return (np.bincount(data, minlength=N_FEATURES) / max(len(data), 1)).astype(np.float32)
