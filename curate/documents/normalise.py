"""Text put into one form without losing what a reader would miss: mojibake, NFC, control characters, white space.

Every step is named in the recipe and can be switched off. Compiled passes do the last two steps, and find the few texts
that the first two may concern; only those are looked at one by one.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents.normalise_config import NormaliseConfig
from curate.text.cleaning import (
    DROPPED,
    MAYBE_MOJIBAKE,
    NOT_SURELY_NFC,
    RESPACED,
    Actions,
    Flags,
    clean_texts,
    cleaning_actions,
    look_at_texts,
)
from curate.text.strings import strings_array
from manifests.tables import one_array


@functools.cache
def _fix_encoding() -> Callable[[str], str]:
    """ftfy's repair alone, without its other steps; loaded for the first text that may need it."""
    import ftfy

    steps = ftfy.TextFixerConfig(
        unescape_html=False, remove_terminal_escapes=False, fix_latin_ligatures=False, fix_character_width=False,
        uncurl_quotes=False, fix_line_breaks=False, fix_surrogates=False, remove_control_chars=False,
        normalization=None,
        # A sequence with a lost byte is a guess, so it stays as it is.
        replace_lossy_sequences=False)
    return lambda text: ftfy.fix_encoding(text, steps)


class Normalised(NamedTuple):
    """texts: large_string [n]. changed: texts changed by each step that was taken, by its name in the recipe."""

    texts: pa.LargeStringArray
    changed: dict[str, int]


def normalise(texts: pa.Array | pa.ChunkedArray, config: NormaliseConfig) -> Normalised:
    """Texts in one form, by the steps that a recipe asks for.

    Args:
        texts: string or large_string [n]; nulls stay null.
        config: Which steps.
    Returns:
        The texts, large_string [n], and how many each step changed.
    """
    given, changed = one_array(texts).cast(pa.large_string()), {}
    texts = given
    if config.mojibake or config.nfc:
        flags = look_at_texts(texts)
        if config.mojibake:
            texts, changed["mojibake"] = _repair(texts, flags & MAYBE_MOJIBAKE != 0, fix_mojibake)
        if config.nfc:
            # What was repaired may have become something to normalise.
            flags = look_at_texts(texts) if changed.get("mojibake") else flags
            texts, changed["nfc"] = _repair(texts, flags & NOT_SURELY_NFC != 0, _nfc)
    if config.control_characters or config.whitespace:
        texts, done = clean_texts(texts, _actions(config.control_characters, config.whitespace), config.whitespace)
        if config.control_characters:
            changed["control_characters"] = int(np.count_nonzero(done & DROPPED))
        if config.whitespace:
            changed["whitespace"] = int(np.count_nonzero(done & RESPACED))
    if given.null_count:
        texts = pc.if_else(pc.is_valid(given), texts, pa.scalar(None, pa.large_string()))
    return Normalised(texts, changed)


def fix_mojibake(text: str) -> str:
    """A text whose lines were repaired where they are surely UTF-8 read as something else (ftfy's `fix_encoding`).

    Line by line, since a page may quote one broken comment among sound ones."""
    return "\n".join(_fix_encoding()(line) if _may_be_broken(line) else line
                     for line in text.split("\n"))


# Each of ftfy's signs of a broken text holds one of these: two characters outside ASCII side by side, a C1 control, or
# a letter that is a sign by itself or beside a blank.
_SIGN: Final = re.compile("[^\x00-\x7f]{2}|[\x80-\x9fŒœÃÂ]")


def _may_be_broken(line: str) -> bool:
    """Whether ftfy must look at a line: it gives all others back as they are, after a search that takes far longer."""
    return not line.isascii() and _SIGN.search(line) is not None


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@functools.cache
def _actions(control_characters: bool, whitespace: bool) -> Actions:
    return cleaning_actions(control_characters, whitespace)


def _repair(texts: pa.Array, suspects: Flags, repair: Callable[[str], str]) -> tuple[pa.Array, int]:
    """Texts with the suspects among them repaired, and how many of those changed."""
    rows = np.flatnonzero(suspects)
    if not len(rows):
        return texts, 0
    old = texts.take(pa.array(rows)).to_pylist()
    new = [repair(text) for text in old]
    n = sum(a != b for a, b in zip(old, new, strict=True))
    if not n:
        return texts, 0
    replacements = strings_array([text.encode() for text in new])
    return pc.replace_with_mask(texts, pa.array(suspects), replacements), n
