"""Codes of languages: what a model calls a language, and the one code that documents and recipes use for it.

lid.176 answers with ISO 639-1 codes (`en`), GlotLID, OpenLID and NLLB's model with ISO 639-3 and a script (`eng_Latn`).
A document bears the shorter code, so that word lists, stop words and language models by language fit every model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from importlib.resources import files
from typing import Final

import pyarrow as pa

_WITH_SCRIPT: Final = re.compile(r"([a-z]{3})_[A-Z][a-z]{3}")
_TABLE: Final = [line.split("\t") for line in files("curate.language").joinpath("codes.tsv").read_text(
    encoding="ascii").splitlines()[1:]]
"""ISO 639-1 and 639-3 of every language that has both; then what models with scripts answer for a language of ISO 639-1
that is a group in ISO 639-3: its most spoken member."""
_SHORT: Final = {long: short for short, long, _ in _TABLE}
_ISO_639_1: Final = {short for short, *_ in _TABLE} | {"bh"}  # a retired code of a group, which lid.176 knows
_MISTAKEN: Final = {"cn": "zh", "jp": "ja", "gb": "en", "us": "en", "dk": "da", "cz": "cs", "gr": "el", "ua": "uk",
                    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it",
                    "portuguese": "pt", "russian": "ru", "chinese": "zh", "japanese": "ja", "arabic": "ar"}
"""Codes of countries and names of languages that people write for codes."""
_MEMBER_OF: Final = {member: short for short, _, member in _TABLE if member}


NO_LANGUAGE: Final = "zxx"
"""ISO 639's code of what has no linguistic content."""
_NONE: Final = frozenset({NO_LANGUAGE, "und"})


def is_no_language(label: str) -> bool:
    """Whether a label says that a text is in no language: `zxx` and `und`, with any script (GlotLID, OpenLID)."""
    return label.partition("_")[0] in _NONE


def language_code(label: str) -> str:
    """The code by which documents and recipes name the language of a model's label.

    Only a script tells a group's member from a language of that code: lid.176's `als` is Alemannic, GlotLID's
    `als_Latn` Tosk Albanian, of the group `sq`.

    Args:
        label: Of any model, without `__label__`, such as `en` or `eng_Latn`.
    Returns:
        The ISO 639-1 code where there is one, else the label without its script.
    """
    scripted = _WITH_SCRIPT.fullmatch(label)
    if scripted is None:
        return _SHORT.get(label, label)
    code = scripted[1]
    return _SHORT.get(code) or _MEMBER_OF.get(code, code)


def mistaken_code(name: str) -> str | None:
    """What is wrong with a name that lid.176 gives no text, and so no document would have; None where it may."""
    if name in _ISO_639_1 or re.fullmatch(r"[a-z]{3}", name) or _WITH_SCRIPT.fullmatch(name):
        return None
    usual = _MISTAKEN.get(name.lower())
    hint = f"; {usual} is meant" if usual else "" if name.lower() == name else f"; codes are lower case: {name.lower()}"
    return f"{name!r} is no code of a language: write ISO 639-1 or 639-3, such as en or eng{hint}"


def codes_of(labels: pa.StringArray) -> pa.StringArray:
    """The code of each label of a language model; string [n], null where there is none."""
    names = labels.dictionary_encode()
    codes = pa.array([language_code(label) for label in names.dictionary.to_pylist()], pa.string())
    return codes.take(names.indices)


def wanted_labels(labels: Iterable[str], wanted: Collection[str]) -> list[str]:
    """Those labels that a recipe's `languages` mean: by the label itself, or by any code of the language."""
    codes = {language_code(name) for name in wanted if not _WITH_SCRIPT.fullmatch(name)}
    return [label for label in labels if label in wanted or language_code(label) in codes]
