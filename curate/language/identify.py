"""Language identification of many texts at once, with fastText's lid.176 or any model of its kind (Joulin et al. 2016).

A text is judged by three windows of `WINDOW_CHARACTERS` from its start, middle and end, each a line with single blanks:
fastText reads one line, and its cost grows with the length. A page's first lines are too often its menu, or the one
English sentence of a Japanese page; and windows that disagree or are unsure tell a page that may be of several
languages, whose lines are then asked one by one. A model names a language for whatever it is given, so a window that is
mostly figures and signs is in none.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.language.codes import NO_LANGUAGE, is_no_language
from curate.language.download import lid_model_path
from curate.language.kernels.letters import letter_shares
from curate.language.models import LanguageModel, load_language_model
from curate.text.windows import cut_windows

WINDOW_CHARACTERS: Final = 400
MIN_LETTER_SHARE: Final = 0.5
"""Letters among the visible characters of a window or line below which it is in no language."""
_LABEL: Final = "__label__"
_DOUBT: Final = 0.8  # score below which a text's lines are asked one by one; a tenth of all text
_MOST: Final = 0.5  # capitals of a line's letters
_MIN_LINE_CHARACTERS: Final = 20  # a name or an entry of a menu is in any language
_SURE: Final = 0.5  # probability from which another language than a text's own counts against it

Answers = list[tuple[str | None, float]]
"""(label, probability) of some lines; no label for a line without features."""


class Languages(NamedTuple):
    """labels: of the model, without `__label__`, or `zxx` where most of a text is in no language; string [n]. scores:
    mean probability of the label over the windows that are in a language, of `zxx` over the others; float32 [n].
    shares: characters in lines that are not surely of another language, 1 where the windows are sure; float32 [n]. All
    are null for a text without a visible character."""

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
    labels: list[str | None] = [None] * len(texts)
    scores: list[float | None] = [None] * len(texts)
    shares: list[float | None] = [None] * len(texts)
    if len(lines):
        loaded = load_language_model(model or str(lid_model_path()))
        answers = _answers(lines, loaded)
        starts = [*np.unique(rows, return_index=True)[1].tolist(), len(rows)]
        mixed = []
        for begin, end in pairwise(starts):
            row = int(rows[begin])
            labels[row], scores[row], doubtful = _verdict(answers[begin:end])
            shares[row] = None if labels[row] is None else 1.0
            if doubtful:
                mixed.append(row)
        for row, share in zip(mixed, _line_shares(texts, mixed, labels, loaded), strict=True):
            shares[row] = share
    return Languages(pa.array(labels, pa.string()), pa.array(scores, pa.float32()), pa.array(shares, pa.float32()))


def _answers(lines: pa.LargeStringArray, model: LanguageModel) -> Answers:
    """What a model says of lines. It has learned from lower case, so lines in capitals are asked in that."""
    letters, capitals = letter_shares(lines)
    if (shouted := capitals > _MOST).any():
        lines = pc.if_else(pa.array(shouted), pc.utf8_lower(lines), lines)
    predicted, probabilities = model.best(lines)
    # fastText rounds up to 1.00005.
    return [(NO_LANGUAGE, 1 - share) if share < MIN_LETTER_SHARE and label is not None
            else (label and label.removeprefix(_LABEL), min(1.0, p))
            for label, p, share in zip(predicted, probabilities, letters.tolist(), strict=True)]


def _verdict(windows: Answers) -> tuple[str | None, float | None, bool]:
    """(label, score, whether windows disagree or are unsure) of a text; ties go to the first window.

    Windows in no language say nothing, unless they are the most."""
    found = [(label, p) for label, p in windows if label is not None]
    if not found:
        return None, None, False
    none = [(label, p) for label, p in found if is_no_language(label)]
    n_asked = len(windows) - len(none)
    if 2 * len(none) > len(found):
        found, n_asked = none, len(none)
    elif none:
        found = [(label, p) for label, p in found if not is_no_language(label)]
    sums: dict[str, float] = {}
    for label, probability in found:
        sums[label] = sums.get(label, 0.0) + probability
    best = max(sums, key=sums.__getitem__)
    score = sums[best] / n_asked
    return best, score, not is_no_language(best) and (len(sums) > 1 or score < _DOUBT)


def _line_shares(texts: pa.Array | pa.ChunkedArray, rows: list[int], labels: list[str | None],
                 model: LanguageModel) -> list[float]:
    """Of each of these texts, how much is in lines that are not surely of another language than its own.

    Short lines and those in no language do not count. Of a long line, the first `WINDOW_CHARACTERS` are looked at."""
    if not rows:
        return []
    split = pc.split_pattern(pc.take(texts, pa.array(rows)).cast(pa.large_string()), "\n")
    split = split.combine_chunks() if isinstance(split, pa.ChunkedArray) else split
    lines, parents = pc.list_flatten(split), pc.list_parent_indices(split)
    long = pc.greater_equal(pc.utf8_length(lines), _MIN_LINE_CHARACTERS)
    lines, parents = lines.filter(long), parents.filter(long)
    answers = _answers(pc.utf8_slice_codeunits(lines, 0, WINDOW_CHARACTERS), model)
    sizes = pc.utf8_length(lines)
    counted, foreign = np.zeros(len(rows)), np.zeros(len(rows))
    for (label, probability), parent, size in zip(answers, parents.to_pylist(), sizes.to_pylist(), strict=True):
        if label is None or is_no_language(label):
            continue
        counted[parent] += size
        foreign[parent] += size if label != labels[rows[parent]] and probability >= _SURE else 0
    return [1 - part / whole if whole else 1.0 for part, whole in zip(foreign.tolist(), counted.tolist(), strict=True)]
