"""fastText as a kind of classifier: trained by the library, scored by its own arithmetic over the Arrow buffers."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.config import ClassifierConfig
from curate.classifier.scorers import NEGATIVE, POSITIVE, Scorer, positive_label
from curate.fasttext.exact import exact_model
from curate.fasttext.library import LibraryScorer
from curate.fasttext.model_file import SUPERVISED, read_model_file
from curate.text.strings import string_buffers
from manifests.errors import InputError

_SEEDS = 2**31 - 1


def train(config: ClassifierConfig, table: pa.Table, seed: int, path: str) -> None:
    """Train on SAMPLES, on one thread and in the table's order: same samples and seed, same file."""
    import fasttext

    prefix = pc.if_else(table["positive"], f"{POSITIVE} ", f"{NEGATIVE} ").cast(pa.large_string())
    lines = pc.binary_join_element_wise(prefix, table["text"], pa.scalar("\n", pa.large_string()),
                                        pa.scalar("", pa.large_string()))
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        examples = os.path.join(folder, "examples.txt")
        with open(examples, "wb") as stream:
            stream.write(_joined(lines))
        model = fasttext.train_supervised(
            input=examples, lr=config.learning_rate, dim=config.dim, epoch=config.epochs, minCount=config.min_count,
            wordNgrams=config.word_ngrams, bucket=config.buckets, minn=config.min_chars, maxn=config.max_chars,
            loss="softmax", thread=1, seed=seed % _SEEDS, verbose=0)
        model.save_model(path)


def _joined(lines: pa.ChunkedArray[Any]) -> memoryview:
    """All strings of an array, one after the other, without a copy."""
    data, offsets = string_buffers(lines)
    return data[offsets[0] : offsets[-1]].data


def read(local: str, path: str, label: str | None) -> Scorer:
    """The scorer of a supervised model; the library's where it is quantised, pruned or of more labels than two."""
    file = read_model_file(local)
    if file.kind != SUPERVISED:
        raise InputError("is a fastText model of word vectors, not a classifier", where=path,
                         hint="train one with `curate classifier train`")
    positive = positive_label(file.labels, label, path)
    exact = exact_model(file, positive)
    if exact is not None:
        return exact
    import fasttext

    return LibraryScorer(fasttext.load_model(local), positive)
