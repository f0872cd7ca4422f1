"""Language identification of many texts at once, with fastText's lid.176 (Joulin et al. 2016).

A text is judged by its first `WINDOW_CHARACTERS` code points with white space collapsed: fastText reads one line, its
cost grows with the length, and a main-content extract does not change language half way often enough to pay for more.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.models import lid_model_path
from manifests.errors import InputError

WINDOW_CHARACTERS: Final = 1000
_LABEL: Final = "__label__"


def identify(texts: pa.Array | pa.ChunkedArray, model: str | None = None) -> tuple[pa.StringArray, pa.FloatArray]:
    """(ISO 639 code, probability float32) of each text; both null where a text has no visible character.

    texts: string or large_string [n]. model: path of a fastText model, by default the one in the user's cache; raises
    InputError where there is none."""
    lines = _windows(texts)
    places = np.flatnonzero(np.asarray(pc.greater(pc.binary_length(lines), 0)))
    codes: list[str | None] = [None] * len(lines)
    scores: list[float | None] = [None] * len(lines)
    if len(places):
        labels, probabilities = _model(model or str(lid_model_path())).predict(lines.take(pa.array(places)).to_pylist())
        for place, label, probability in zip(places.tolist(), labels, probabilities, strict=True):
            if len(label):
                codes[place] = label[0].removeprefix(_LABEL)
                scores[place] = min(1.0, float(probability[0]))  # fastText rounds up to 1.00005
    return pa.array(codes, pa.string()), pa.array(scores, pa.float32())


def _windows(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One trimmed line for each text; a null is an empty line."""
    if isinstance(texts, pa.ChunkedArray):
        texts = pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], texts.type)
    head = pc.fill_null(pc.utf8_slice_codeunits(texts, 0, WINDOW_CHARACTERS), "")
    # \pZ and the controls that RE2's \s does not hold: fastText would take NEL or a no-break space for a letter.
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(head, r"[\s\x0b\x1c-\x1f\x{85}\pZ]+", " "))


@functools.lru_cache(maxsize=2)
def _model(path: str) -> Any:
    """The model, loaded once a process; `fasttext.load_model` of old versions would print to stderr."""
    try:
        return fasttext.FastText._FastText(model_path=path)
    except ValueError as error:
        raise InputError(f"is no fastText model: {error}", where=path) from error
