"""The regular expressions by which text is cut before byte pairs are merged."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Pattern(StrEnum):
    """How text is cut into pre-tokens; no merge crosses a cut."""

    GPT2 = "gpt2"
    """Radford et al. 2019: contractions in lower case, letters or numbers with a space before them, runs of spaces."""
    CL100K = "cl100k"
    """GPT-4 and LLaMA 3: contractions in any case, numbers in threes, newlines kept with punctuation before them."""
    O200K = "o200k"
    """GPT-4o: as cl100k, but a word also ends where small letters turn into capitals, and keeps its contraction."""
    LLAMA = "llama"
    """As cl100k with every digit alone, as LLaMA 1 and 2 split numbers (LLaMA 3 takes them in threes: cl100k)."""


_CONTRACTION: Final = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES: Final = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS: Final = _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|"
EXPRESSIONS: Final[dict[Pattern, str]] = {
    Pattern.GPT2: r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    Pattern.CL100K: _WORDS + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES,
    Pattern.O200K: "|".join([
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _CONTRACTION + "?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _CONTRACTION + "?",
        r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", _SPACES]),
    Pattern.LLAMA: _WORDS + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES,
}
"""What a tokenizer.json holds of each pattern. Possessive quantifiers of the originals are left out: they only save
time."""
