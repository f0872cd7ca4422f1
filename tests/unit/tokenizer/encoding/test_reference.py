"""Documents of megabytes, of one character, of white space alone: time that grows with length, and bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.paths import ROOT
from tests.unit.tokenizer.encoding.test_formats import trained
from tokenizer.encoding.encode import Encoder
from tokenizer.encoding.patterns import Pattern

MEGABYTE = 1_000_000
DOCUMENTS: dict[str, Callable[[int], str]] = {
    "one letter": lambda n: "a" * n, "spaces": lambda n: " " * n, "newlines": lambda n: "\n" * n,
    "one digit": lambda n: "7" * n, "punctuation": lambda n: "!" * n, "Chinese": lambda n: "中" * (n // 3),
    "prose": lambda n: ("The gulls, it's said, keep 12 harbours.\n " * (n // 41 + 1))[:n]}
_CODE = """
import sys, pyarrow as pa
from tests.unit.tokenizer.encoding.test_reference import DOCUMENTS
from tokenizer.encoding.encode import load
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
encoder, n = load(sys.argv[1]), int(sys.argv[3])
encode = encoder.encode_reference if sys.argv[4] == "reference" else encoder.encode
encode(pa.array([DOCUMENTS[sys.argv[2]](10_000)]))
texts = pa.array([DOCUMENTS[sys.argv[2]](n)], pa.large_string())
before = peak()
ids, _ = encode(texts)
assert encoder.decode_bytes(ids[:1000]) == texts[0].as_py()[:9000].encode()[:len(encoder.decode_bytes(ids[:1000]))]
assert len(encoder.decode_bytes(ids)) == n // 3 * 3 if sys.argv[2] == "Chinese" else n
print(peak() - before)
"""


@pytest.fixture(scope="module")
def encoders() -> dict[Pattern, Encoder]:
    return {pattern: Encoder(trained(pattern), "t") for pattern in Pattern}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_time_grows_with_length(encoders: dict[Pattern, Encoder], kind: str) -> None:
    """Eight times the text in less than 24 times the time: a merge in quadratic time takes 64 times."""
    encoder = encoders[Pattern.GPT2]
    seconds = []
    for n in (MEGABYTE // 2, 4 * MEGABYTE):
        texts = pa.array([DOCUMENTS[kind](n)], pa.large_string())
        best = float("inf")
        for _ in range(2):
            begin = time.process_time()
            ids, offsets = encoder.encode(texts)
            best = min(best, time.process_time() - begin)
        assert offsets.tolist() == [0, len(ids)]
        assert encoder.decode_bytes(ids) == texts[0].as_buffer().to_pybytes()
        seconds.append(best)
    assert seconds[1] < 24 * max(seconds[0], 0.01), seconds


@pytest.mark.parametrize("pattern", Pattern)
def test_long_documents_have_the_ids_of_the_reference(encoders: dict[Pattern, Encoder], pattern: Pattern) -> None:
    encoder = encoders[pattern]
    texts = pa.array([make(300_000) for make in DOCUMENTS.values()], pa.large_string())
    ids, offsets = encoder.encode(texts)
    expected, bounds = encoder.encode_reference(texts)
    assert offsets.tolist() == bounds.tolist()
    assert np.array_equal(ids, expected)


def test_the_reference_takes_long_prose_in_bounded_memory(tmp_path: Path) -> None:
    """Whole, 8 MB would take more than a gigabyte of `tokenizers`' memory."""
    assert more_memory(tmp_path, "prose", 8, "reference") < 400


def more_memory(folder: Path, kind: str, megabytes: int, by: str) -> int:
    """MiB by which the peak of a process grows when it encodes one document."""
    (folder / "t.json").write_bytes(trained())
    root = ROOT
    done = subprocess.run([sys.executable, "-c", _CODE, str(folder / "t.json"), kind, str(megabytes * MEGABYTE), by],
                          check=True, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ})
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_hundred_megabytes(tmp_path: Path, kind: str) -> None:
    """A document of 100 MB in at most 40 bytes of memory for one of text."""
    assert more_memory(tmp_path, kind, 100, "fast") < 4000
