"""Which characters spaCy's tokenizer and sentencizer take for letters, icons and ends of sentences.

They are ranges of an older Unicode, written out there (lang/char_classes.py, pipeline/sentencizer.pyx of spaCy 3.8),
and no property of today's: marks and digits of Indic blocks are letters, Georgian, Armenian and Thai letters are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final


def _codes(ranges: str) -> Iterator[int]:
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


UNCASED_LETTERS: Final = frozenset(_codes(
    "591-5f4 620-64a 66e-6d5 6e5-6ff 750-77f 8a0-8bd 900-9ff b80-cff d80-dff 1100-137f 2e80-2fdf 2ff0-30ff 31c0-31ef "
    "3200-4dbf 4e00-9fff ac00-d7af f900-faff fb1d-fbb1 fbd3-fd3d fd50-fdc7 fdf0-fdfb fe30-fe4f fe70-fefc 1ee00-1eebb "
    "1f200-1f2ff 20000-2a6df 2a700-2ebef 2f800-2fa1f"))
"""Letters for which case does not count: they stand where either is asked for."""

CASED_LETTERS: Final = frozenset(_codes(
    "41-5a 61-7a c0-d6 d8-f6 f8-1bf 1c4-2af 386 388-38a 38c 38e-38f 391-3a9 3ac-3af 3b1-3c9 3cc-3ce 400-401 403-40a "
    "40c-40d 410-451 453-45a 45c-45d 490-491 496-497 4a2-4a3 4ae-4af 4ba-4bb 4d8-4d9 4e8-4e9 1d00-1d25 1d6b-1d77 "
    "1d79-1d9a 1e00-1eff 2c60-2c7b 2c7e-2c7f a722-a76f a771-a787 a78b-a78e a790-a7b9 a7fa ab30-ab5a ab60-ab64 "
    "ff21-ff3a ff41-ff5a"))
"""Letters that are capital or small, by Unicode; title-case digraphs among them are neither."""

SMALL_BUT_UNCASED: Final = 0x294  # a glottal stop without case, which spaCy lists among small letters
CAPITAL_BUT_UNASSIGNED: Final = 0x3A2  # inside a range of Greek capitals

NO_ICONS: Final = frozenset(_codes(
    "166d 2b97 2bc9 2bff 2e50-2e51 32ff fd40-fd4f fdcf fdfe-fdff 1019c 11fd5-11fdc 11fe1-11ff1 1cf50-1cfc3 1d1e9-1d1ea "
    "1e14f 1ed2e 1f10d-1f10f 1f16c-1f16f 1f1ad 1f6d5-1f6d7 1f6dd-1f6df 1f6fa-1f6fc 1f7e0-1f7eb 1f7f0 1f8b0-1f8b1 "
    "1f90c-1f90f 1f93f 1f971-1f972 1f977-1f979 1f97b 1f9a3-1f9af 1f9ba-1f9bf 1f9c3-1f9cf 1fa00-1fa53 1fa70-1fa74 "
    "1fa78-1fa7c 1fa80-1fa86 1fa90-1faac 1fab0-1faba 1fac0-1fac5 1fad0-1fad9 1fae0-1fae7 1faf0-1faf6 1fb00-1fb92 "
    "1fb94-1fbca"))
"""Symbols of category So that are younger than spaCy's list of icons (Unicode 11)."""

SENTENCE_ENDS: Final = frozenset(_codes(
    "21 2e 3f 589 61f 6d4 700-702 7f9 964-965 104a-104b 1362 1367-1368 166e 1735-1736 1803 1809 1944-1945 1aa8-1aab "
    "1b5a-1b5b 1b5e-1b5f 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 "
    "a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 11047-11048 "
    "110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 "
    "115c9-115d7 11641-11642 1173c-1173e 11a42-11a43 11a9b-11a9c 11c41-11c42 16a6e-16a6f 16af5 16b37-16b38 16b44 1bc9f "
    "1da88"))
"""Marks after which spaCy's sentencizer begins a sentence."""

TERMINALS: Final = SENTENCE_ENDS | frozenset(_codes(
    "61d-61e 837 839 83d-83e 17d4-17d6 17d9-17da 1b7d-1b7e 2e53-2e54 10f55-10f59 10f86-10f89 11944 11946 11ef7-11ef8 "
    "11f43-11f44 16e98"))
"""Marks that end a sentence: datatrove's TERMINAL_PUNCTUATION, which is Unicode's Sentence_Terminal."""
