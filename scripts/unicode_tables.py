"""Write the tables of characters that lie in the packages as files: what a letter is must not depend on a Python.

    python3.13 scripts/unicode_tables.py text         curate/text/unicode.tsv, unicode_mappings.tsv
    python scripts/unicode_tables.py pretokens        tokenizer/encoding/character_classes.tsv

`text` needs nothing but a Python of the named Unicode version (3.13 has 15.1.0). `pretokens` needs `tokenizers`, whose
regular expressions have a Unicode of their own, and takes some ten seconds. Another version of Unicode changes what
stages make of texts: raise `curate.text.versions.UNICODE_VERSION` with it, so that records name it.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
CODE_POINTS = 0x110000
# Hangul composes by rule (Unicode Standard, 3.12): these vowels and final consonants with what stands before them.
JAMO = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))


def runs(fact: Callable[[int], str], usual: str) -> Iterator[str]:
    """Lines `first last fact` of neighbouring code points that share a fact, those of the usual one left out."""
    first, before = 0, fact(0)
    for code in range(1, CODE_POINTS + 1):
        now = fact(code) if code < CODE_POINTS else ""
        if now != before:
            if before != usual:
                yield f"{first:x}\t{code - 1:x}\t{before}\n"
            first, before = code, now


def traits() -> Callable[[int], str]:
    """General category, canonical combining class, and letters for what else holds of a code point.

    s: white space, as `str.isspace`; u, l: capital, small; n: never in a text in NFC; c: may compose with the
    character before it."""
    seconds = set(JAMO)
    for code in range(CODE_POINTS):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(int(parts[1], 16))

    def of(code: int) -> str:
        char = chr(code)
        flags = {"s": char.isspace(), "u": char.isupper(), "l": char.islower(), "c": code in seconds,
                 "n": not 0xD800 <= code < 0xE000 and not unicodedata.is_normalized("NFC", char)}
        letters = "".join(letter for letter, holds in flags.items() if holds)
        return f"{unicodedata.category(char)}\t{unicodedata.combining(char)}\t{letters or '-'}"

    return of


def mappings() -> Iterator[str]:
    """Lines `character lower fold decomposed`, in hexadecimal: lower case, case folding, and NFD but for hangul
    syllables, which decompose by rule. A hyphen stands for the character itself; of folding, for its lower case."""
    def written(text: str, usual: str) -> str:
        return "-" if text == usual else " ".join(f"{ord(c):x}" for c in text)

    for code in range(CODE_POINTS):
        char, surrogate, hangul = chr(code), 0xD800 <= code < 0xE000, 0xAC00 <= code < 0xD7A4
        decomposed = char if surrogate or hangul else unicodedata.normalize("NFD", char)
        fields = (written(char.lower(), char), written(char.casefold(), char.lower()), written(decomposed, char))
        if fields != ("-", "-", "-"):
            yield "\t".join((f"{code:x}", *fields)) + "\n"


def text_tables() -> None:
    from curate.text.versions import UNICODE_VERSION

    if unicodedata.unidata_version != UNICODE_VERSION:
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}; the tables are of {UNICODE_VERSION}")
    folder = ROOT / "curate/text"
    (folder / "unicode.tsv").write_text(f"# Unicode {UNICODE_VERSION}\n" + "".join(runs(traits(), "Cn\t0\t-")), "ascii")
    (folder / "unicode_mappings.tsv").write_text(f"# Unicode {UNICODE_VERSION}\n" + "".join(mappings()), "ascii")


def classes_of_tokenizers() -> list[int]:
    """For each code point, the classes of tokenizer/encoding/character_classes.py as `tokenizers` itself sees them."""
    from tokenizers import Regex, pre_tokenizers

    from tokenizer.encoding import character_classes as known

    expressions = {
        known.LETTER: r"\p{L}", known.NUMBER: r"\p{N}", known.SPACE: r"\s", known.NEWLINE: r"[\r\n]",
        known.UPPER: r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", known.LOWER: r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]",
        known.OTHER: r"[^\s\p{L}\p{N}]", known.UNASSIGNED: r"\p{Cn}"}
    codes = [c for c in range(CODE_POINTS) if not 0xD800 <= c < 0xE000]
    text = "".join(map(chr, codes))
    classes = [0 if not 0xD800 <= c < 0xE000 else known.OTHER for c in range(CODE_POINTS)]
    for flag, expression in expressions.items():
        outside: set[int] = set()
        for _, (first, end) in pre_tokenizers.Split(Regex(f"{expression}+"), "removed").pre_tokenize_str(text):
            outside.update(codes[first:end])
        for code in codes:
            classes[code] |= 0 if code in outside else flag
    return classes


def pretoken_classes() -> None:
    from tokenizer.encoding.character_classes import OTHER

    classes = classes_of_tokenizers()
    lines = runs(lambda code: str(classes[code]), str(OTHER))
    (ROOT / "tokenizer/encoding/character_classes.tsv").write_text("".join(lines), "ascii")


if __name__ == "__main__":
    {"text": text_tables, "pretokens": pretoken_classes}[sys.argv[1]]()
