"""Language models by file: n-gram models, ARPA or binary, through KenLM's library, and SentencePiece."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.perplexity.config import PerplexityReading
from curate.perplexity.kernels.ccnet import normalise_texts
from manifests.errors import InputError
from manifests.storage import digest_file, is_local, local_path, open_read

KENLM_MAGIC: Final = b"mmap lm http://kheafield.com/code"
GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """An n-gram model, asked through KenLM's library, a sentence at a time."""

    kenlm: Any

    def score(self, texts: Any, by_line: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(sum of log10 probabilities float64 [n], words and sentence ends int64 [n]) of texts, string [n].

        A sentence is a line, or the whole text; its words stand between ASCII white space."""
        sums, counts = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
        for row, text in enumerate(texts.to_pylist()):
            line = (text or "").encode()
            for sentence in line.split(b"\n") if by_line else (line,):
                n_words = len(sentence.split())
                if n_words:
                    sums[row] += self.kenlm.score(sentence)
                    counts[row] += n_words + 1
        return sums, counts


def perplexities(model: LanguageModel, pieces: Any, reading: PerplexityReading, texts: Any) -> npt.NDArray[np.float32]:
    """10 ** (- sum of log10 probabilities / (words and sentence ends)) of texts.

    Args:
        model: The language model.
        pieces: A SentencePiece model whose pieces are the language model's words, or None.
        reading: How texts are normalised and parted into sentences.
        texts: string or large_string [n].
    Returns:
        float32 [n]; NaN where there is no word.
    """
    by_line = reading.sentence == "line"
    if reading.normalise:
        texts = normalise_texts(texts, by_line)
    if pieces is not None:
        texts = _in_pieces(pieces, texts, by_line)
    sums, counts = model.score(texts, by_line)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return (10.0 ** (-sums / counts)).astype(np.float32)


def _in_pieces(pieces: Any, texts: Any, by_line: bool) -> pa.Array:
    """Texts with a blank between SentencePiece's pieces, each line for itself."""
    spaced = []
    for text in texts.to_pylist():
        parts = (text or "").split("\n") if by_line else [text or ""]
        spaced.append("\n".join(" ".join(line) for line in pieces.encode(parts, out_type=str)))
    return pa.array(spaced, pa.large_string())


def load_language_model(path: str) -> LanguageModel:
    """The n-gram model of a file, loaded once a process.

    Args:
        path: An .arpa or .arpa.gz file, or one in KenLM's binary form; local or a URL.
    Returns:
        The model, for `perplexities`.
    Raises:
        InputError: It is none of these, or needs KenLM's library, which is missing.
    """
    return _load(path, digest_file(path))


@lru_cache(maxsize=64)
def _load(path: str, digest: str) -> LanguageModel:
    with open_read(path) as stream:
        head = stream.read(1 << 16)
    if not head.startswith((KENLM_MAGIC, GZIP_MAGIC)) and b"\\data\\" not in head:
        raise InputError("is no language model: neither ARPA nor KenLM's binary form", where=path)
    try:
        import kenlm
    except ImportError as error:
        raise InputError("is a language model, which needs KenLM's library", where=path,
                         hint="pip install 'curate-corpus[kenlm]' (it builds with a C++ compiler)") from error
    config = kenlm.Config()
    config.show_progress, config.arpa_complain = False, kenlm.ARPALoadComplain.NONE
    with _local(path) as local:
        try:
            return LanguageModel(kenlm.Model(local, config))
        except (OSError, RuntimeError) as error:
            raise InputError(f"KenLM cannot read it: {error}", where=path) from error


def load_pieces(path: str) -> Any:
    """The SentencePiece model of a file, loaded once a process.

    Args:
        path: Local or a URL.
    Returns:
        SentencePiece's processor.
    Raises:
        InputError: It is no such model, or the library is missing.
    """
    return _load_pieces(path, digest_file(path))


@lru_cache(maxsize=64)
def _load_pieces(path: str, digest: str) -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise InputError("is a SentencePiece model, which needs its library", where=path,
                         hint="pip install 'curate-corpus[sentencepiece]'") from error
    with _local(path) as local:
        try:
            return sentencepiece.SentencePieceProcessor(model_file=local)
        except (OSError, RuntimeError) as error:
            raise InputError(f"is no SentencePiece model: {error}", where=path) from error


@contextmanager
def _local(path: str) -> Iterator[str]:
    """A local copy of a file for as long as it is loaded; the file itself where it is local."""
    if is_local(path):
        yield local_path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model")
        with open_read(path) as stream, open(copy, "wb") as target:
            shutil.copyfileobj(stream, target)
        yield copy
