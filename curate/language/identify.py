"""Language identification of many texts at once, with fastText's lid.176 or any model of its kind (Joulin et al. 2016).

A text is judged by three windows of `WINDOW_CHARACTERS` from its start, middle and end, each a line with single blanks:
fastText reads one line, and its cost grows with the length. A page's first lines are too often its menu, or the one
English sentence of a Japanese page; and windows that disagree tell a page of several languages.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from curate.language.download import lid_model_path
from curate.language.models import load_language_model
from curate.text.windows import cut_windows

WINDOW_CHARACTERS: Final = 400
_LABEL: Final = "__label__"
_SURE: Final = 0.5  # probability from which a window of another language counts against a text's own


class Languages(NamedTuple):
    """labels: of the model, without `__label__`, string [n]. scores: mean probability of the label over the windows,
    float32 [n]. shares: part of the windows that are not surely of another language, float32 [n]. All are null for a
    text without a visible character."""

    labels: pa.StringArray
    scores: pa.FloatArray
    shares: pa.FloatArray


def identify(texts: pa.Array | pa.ChunkedArray, model: str | None = None) -> Languages:
    """The language of each text: the one whose probabilities, summed over the text's windows, are highest.

    Args:
        texts: string or large_string [n].
        model: Path of a fastText model (.bin or .ftz), by default the one in the user's cache.
    Returns:
        Labels, scores and shares, each [n].
    Raises:
        InputError: There is no such model, or it is none of fastText's.
    """
    lines, rows = cut_windows(texts, WINDOW_CHARACTERS)
    verdicts: list[tuple[str | None, float | None, float | None]] = [(None, None, None)] * len(texts)
    if len(lines):
        predicted, probabilities = load_language_model(model or str(lid_model_path())).best(lines)
        starts = [*np.unique(rows, return_index=True)[1].tolist(), len(rows)]
        for begin, end in pairwise(starts):
            # fastText rounds up to 1.00005.
            windows = [(label, min(1.0, p)) for label, p in
                       zip(predicted[begin:end], probabilities[begin:end], strict=True) if label is not None]
            verdicts[int(rows[begin])] = _verdict(windows, end - begin)
    labels, scores, shares = zip(*verdicts, strict=True) if verdicts else ((), (), ())
    return Languages(pa.array(labels, pa.string()), pa.array(scores, pa.float32()), pa.array(shares, pa.float32()))


def _verdict(windows: list[tuple[str, float]], n: int) -> tuple[str | None, float | None, float | None]:
    """(label, score, share) of a text from the (label, probability) of its n windows; ties go to the first window."""
    if not windows:
        return None, None, None
    sums: dict[str, float] = {}
    for label, probability in windows:
        sums[label] = sums.get(label, 0.0) + probability
    label = max(sums, key=sums.__getitem__)
    foreign = sum(other != label and probability >= _SURE for other, probability in windows)
    return label.removeprefix(_LABEL), sums[label] / n, 1 - foreign / n
