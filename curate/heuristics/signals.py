"""The signals of a document: what heuristic filters look at, computed once by extract and stored as columns.

Thresholds are then a question to a table. Definitions follow Gopher (Rae et al. 2021, A1.1) where it is precise, and
say what they do where it is not:

word        a maximal run of characters that are not Unicode white space, as `str.split()` gives. Counting and mean
            length take words with a letter or digit only; ratios are over all of them.
line        what lies between line feeds, if it has a visible character; its white space is collapsed.
paragraph   a maximal run of lines with no blank line between.
character   a code point that is no white space, in numerators and denominators alike, so that fractions end at 1.
duplicate   the second and later occurrences.

This differs from datatrove, which splits words with spaCy, counts white space as characters, requires stop words in
lower case, and counts an n-gram that occurs once as repetition of itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from curate.kernels.signals import STOP_KEYS, signal_columns
from curate.kernels.strings import string_buffers
from curate.kernels.unicode import KIND
from manifests.schema import SIGNAL_PREFIX

SIGNALS: Final[dict[str, str]] = {
    "n_words": "words with a letter or digit",
    "mean_word_length": "mean code points of those words",
    "hash_to_word_ratio": "`#` characters per word",
    "ellipsis_to_word_ratio": "`...` and `…` per word",
    "bullet_line_fraction": "lines that start with `•` or `-`",
    "ellipsis_line_fraction": "lines that end with `...` or `…`",
    "alpha_word_fraction": "words with a letter",
    "n_stop_words": "different ones of the, be, to, of, and, that, have, with; case and punctuation around ignored",
    "duplicate_line_fraction": "lines seen before",
    "duplicate_line_character_fraction": "characters in lines seen before",
    "duplicate_paragraph_fraction": "paragraphs seen before",
    "duplicate_paragraph_character_fraction": "characters in paragraphs seen before",
    **{f"top_{n}_gram_character_fraction": f"characters in the most frequent {n}-gram, if it occurs twice, at most 1"
       for n in (2, 3, 4)},
    **{f"duplicate_{n}_gram_character_fraction": f"characters in {n}-grams seen before, each counted once"
       for n in range(5, 11)},
}
"""Each signal and what it is; the columns of the document table are these with `signal_` in front."""

SIGNAL_FIELDS: Final = tuple(
    pa.field(SIGNAL_PREFIX + name, pa.float32(), nullable=False, metadata={"comment": comment})
    for name, comment in SIGNALS.items())


def signals(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """All signals of texts, one float32 column each. texts: string or large_string [n]; a null counts as empty.

    A text without words has 0 everywhere."""
    data, offsets = string_buffers(texts)
    values = signal_columns(data, offsets, KIND, STOP_KEYS)
    columns = [pa.array(np.ascontiguousarray(values[:, i])) for i in range(values.shape[1])]
    return pa.Table.from_arrays(columns, schema=pa.schema(SIGNAL_FIELDS))
