"""The signals that need nothing but the text, computed once by extract and stored as columns.

Thresholds are then a question to a table. What a word is depends on the mode; docs/filters.md says where the two differ
and what it does to verdicts.

paper       word: a maximal run of characters that are not Unicode white space, as `str.split()` gives; counting and
            mean length take words with a letter or digit only, ratios are over all of them. line: what lies between
            line feeds, if it has a visible character, its white space collapsed. paragraph: a run of lines with no
            blank one between. Characters are code points that are no white space, in numerators and denominators
            alike, so that fractions end at 1. An n-gram repeats if it occurs twice.
datatrove   exactly what datatrove 0.10.1 counts: words and sentences are those of spaCy's English tokenizer, lines and
            paragraphs stand as they are, white space counts as characters, stop words are lower-case, and the most
            frequent n-gram counts even if it occurs once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.kernels.signals import signal_columns
from curate.heuristics.kernels.stop_words import LANGUAGE_CODES
from curate.heuristics.line_config import C4Lines, RefinedWebLines
from curate.heuristics.signals import EVERY_GROUP, SIGNAL_FIELDS, Group, Words
from curate.text.strings import string_buffers


def signals(texts: pa.Array | pa.ChunkedArray, words: Words = Words.PAPER,
            languages: pa.Array | pa.ChunkedArray | None = None, c4: C4Lines | None = None,
            refinedweb: RefinedWebLines | None = None, groups: Group = EVERY_GROUP) -> pa.Table:
    """All signals of texts, one float32 column each. A text without words has 0 everywhere.

    Args:
        texts: string or large_string [n]; a null counts as empty.
        words: What a word, a line and a character are.
        languages: ISO 639-1 codes, string [n], for the share of stop words; English where it is None.
        c4: C4's line rules, where they are not the paper's.
        refinedweb: RefinedWeb's line rules, where they are not the paper's.
        groups: `groups_of` the signals that are wanted; the others may be 0.
    Returns:
        The table of `SIGNAL_FIELDS`, n rows.
    """
    data, offsets = string_buffers(texts)
    rules = ((c4 or C4Lines()).as_tuple(), (refinedweb or RefinedWebLines()).as_tuple())
    values = signal_columns(data, offsets, _language_indices(languages, len(texts)), words is Words.DATATROVE, groups,
                            rules)
    columns = [pa.array(np.ascontiguousarray(values[:, i])) for i in range(values.shape[1])]
    return pa.Table.from_arrays(columns, schema=pa.schema(SIGNAL_FIELDS))


def _language_indices(languages: pa.Array | pa.ChunkedArray | None, n: int) -> npt.NDArray[np.int64]:
    """Index of each language in LANGUAGE_CODES, -1 for another: int64 [n]."""
    if languages is None:
        return np.zeros(n, np.int64)
    indices = pc.fill_null(pc.index_in(languages, pa.array(LANGUAGE_CODES)), -1)
    return np.asarray(indices, np.int64)
