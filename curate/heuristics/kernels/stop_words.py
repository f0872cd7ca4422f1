"""Stop words by language, as a table from a word's hash to bits."""

# ruff: noqa: RUF001 (marks and letters of many scripts are what this module is about)
from __future__ import annotations

from typing import Final

import numpy as np

from curate.text.hash_table import hash_table, word_hash

GOPHER: Final = ("the", "be", "to", "of", "and", "that", "have", "with")
"""English stop words of Gopher (Rae et al. 2021, A1.1)."""

LANGUAGES: Final = {
    "en": "the be to of and that have with a in is it for on as are was this by from at or an not you his her they",
    "de": "der die das und in zu den mit von ist nicht ein eine es im dem auf für sich auch als an werden aus bei",
    "fr": "le la les de des et en un une est que qui dans pour pas au sur ne se ce il par plus avec sont du",
    "es": "el la los las de del y en que un una es por con para se no su al lo como más pero sus o este",
    "it": "il la le di e che un una in per è non con si da del della dei al come più i gli lo sono ma",
    "pt": "o a os as de do da e que em um uma é para com não por se mais como dos das no na ao foi",
    "nl": "de het een en van in is dat op te voor met zijn niet aan er ook die als bij door maar om dan uit",
    "sv": "och att det i en som är av för på med till den inte har de om ett men var jag sig från vi så",
    "da": "og at det i en som er af for på med til den ikke har de om et men var jeg sig fra vi så",
    "no": "og at det i en som er av for på med til den ikke har de om et men var jeg seg fra vi så",
    "fi": "ja on ei se että hän oli ovat mutta myös kun niin joka tai jos mitä sen ole kuin vain",
    "pl": "i w na z do się nie że to jest o jak po od za przez dla są ale co tym oraz ich był",
    "cs": "a v se na je že s z do o i to k ve pro za by ale si po jako od však jsou",
    "ro": "și în de la cu a pe un o că nu din este pentru care mai sau se ce au fost dar",
    "hu": "a az és hogy nem is egy ez volt meg de csak mint van már vagy még ki ha",
    "tr": "ve bir bu da de için ile çok olarak daha gibi kadar ama en ne o her sonra",
    "ru": "и в не на что с по как это к из у за от но для же его так о все был",
    "uk": "і в не на що з по як це до та у за від але для його так про все був",
    "el": "και το η της του να με για από που την ο τα στο είναι οι των τον δεν θα",
}
"""Frequent function words by ISO 639-1 code: enough of them to tell prose from lists, no more."""

LANGUAGE_CODES: Final = tuple(LANGUAGES)
LANGUAGE_SHIFT: Final = 8


def _bits() -> dict[str, int]:
    bits: dict[str, int] = {word: 1 << bit for bit, word in enumerate(GOPHER)}
    for bit, words in enumerate(LANGUAGES.values()):
        for word in words.split():
            bits[word] = bits.get(word, 0) | 1 << (LANGUAGE_SHIFT + bit)
    return bits


STOP_KEYS, STOP_BITS = hash_table({word_hash(word): bits for word, bits in _bits().items()}, np.uint32)
"""Hashes of lower-case words; bits: low eight for Gopher's words, then one for each language."""
