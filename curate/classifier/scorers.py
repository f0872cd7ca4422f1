"""The kinds of classifier, in one table: what trains each, and what reads the files of its models.

A recipe names a kind; a model file is recognised by its first bytes. Another kind is one module with a `train` and a
`read`, and one entry here. Importing this loads neither: modules are named, and imported when they are needed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from manifests.errors import InputError
from manifests.storage import digest_file, is_local, local_path, open_read

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

POSITIVE: Final = "__label__positive"
NEGATIVE: Final = "__label__negative"
KNOWN_POSITIVES: Final = (POSITIVE, "__label__hq", "__label__1", "__label__pos")
"""Labels taken for the positive one where none is named: this project's, DCLM's, and two habits."""


class Scorer(Protocol):
    """What scores lines, by whatever method: `exact`, `library` or `hashed`, as counters name it."""

    @property
    def method(self) -> str: ...

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Probability of the positive label, float32 [n]; a text is one line, in which line feeds are spaces.

        Args:
            lines: Texts.
            rows: Score only these.
            out: Where to write the scores, float32 [n], so that several models can share one result.
        Returns:
            `out`, or a new array that is 0 where nothing was scored.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScorerKind:
    """One kind of classifier.

    name: as recipes call it. what: as their reference explains it. magic: the first bytes of its model files. settings:
    the fields of ClassifierConfig that its training reads beside those of every kind; the model's card names them.
    module: has `train(config, table, seed, path)`, which writes a model trained on SAMPLES, and `read(local, path,
    label)`, which gives the Scorer of a file (path: as errors name it)."""

    name: str
    what: str
    magic: bytes
    settings: tuple[str, ...]
    module: str

    def train(self, config: Any, table: pa.Table, seed: int, path: str) -> None:
        import_module(self.module).train(config, table, seed, path)

    def read(self, local: str, path: str, label: str | None) -> Scorer:
        scorer: Scorer = import_module(self.module).read(local, path, label)
        return scorer


SCORERS: Final[dict[str, ScorerKind]] = {kind.name: kind for kind in (
    ScorerKind(
        "fasttext", "averaged vectors of words and word n-grams (Joulin et al. 2016)",
        (793_712_314).to_bytes(4, "little"),
        ("dim", "epochs", "learning_rate", "word_ngrams", "buckets", "min_count", "min_chars", "max_chars"),
        "curate.classifier.fasttext_scorer"),
    ScorerKind(
        "hashed_lr", "logistic regression on hashed words, Spark's Tokenizer, HashingTF and LogisticRegression, as "
        "GPT-3 used (Brown et al. 2020, appendix A)", b"curate hashed logistic regression 1\n",
        ("hashed_features", "hashed_regularisation", "hashed_iterations"), "curate.classifier.hashed"),
)}
"""By name, the default first."""


def load_scorer(path: str, label: str | None = None) -> Scorer:
    """The scorer of a model file, kept in this process for as long as the file's bytes are the same.

    Args:
        path: A model of fastText (.bin, .ftz) or of a kind of `SCORERS`; local path or URL.
        label: The positive label, with or without `__label__`; by default one of KNOWN_POSITIVES.
    Returns:
        What scores lines.
    Raises:
        InputError: The file is no such model, or has no such label.
    """
    return _load(path, digest_file(path), label)


@lru_cache(maxsize=65)  # of every fold and of all texts
def _load(path: str, digest: str, label: str | None) -> Scorer:
    if is_local(path):
        return _read(local_path(path), path, label)
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model.bin")
        with open_read(path) as stream, open(copy, "wb") as target:
            shutil.copyfileobj(stream, target)
        return _read(copy, path, label)


def _read(local: str, path: str, label: str | None) -> Scorer:
    with open_read(local) as stream:
        head = stream.read(max(len(kind.magic) for kind in SCORERS.values()))
    kinds = [kind for kind in SCORERS.values() if head.startswith(kind.magic)]
    if not kinds:
        raise InputError(f"is no fastText model and none of {', '.join(SCORERS)}: its first bytes are not a model's",
                         where=path)
    return kinds[0].read(local, path, label)


def positive_label(labels: Sequence[str], wanted: str | None, where: str) -> str:
    """The label whose probability is the score; raises InputError where it is not there, or it is unclear which."""
    named = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
    if wanted is not None:
        full = wanted if wanted in labels else f"__label__{wanted}"
        if full in labels:
            return full
        raise InputError(f"has no label {wanted!r}", where=where, hint=f"its labels are {named}")
    known = [label for label in KNOWN_POSITIVES if label in labels]
    if len(known) != 1:
        raise InputError("does not say which label is the positive one", where=where,
                         hint=f"name one of its labels: {named}")
    return known[0]
