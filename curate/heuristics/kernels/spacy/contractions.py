"""English words that spaCy's tokenizer splits, or refuses to split, against its own rules.

Contractions are made by the rule that makes them (`do` + `n't`, `they` + `'ll` + `'ve`), with and without apostrophe;
abbreviations and emoticons are words that keep their punctuation. The table is keyed by the words' hashes.
"""

# ruff: noqa: RUF001, SIM905 (marks and letters of many scripts are what this module is about)
from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.text.hash_table import hash_table, word_hash

_PERSONS: Final = ("i", "you", "he", "she", "it", "we", "they")
_ASKING: Final = ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those")
_VERBS: Final = ("ca", "could", "do", "does", "did", "had", "may", "might", "must", "need", "ought", "sha", "should",
                 "wo", "would")
_MORE_VERBS: Final = ("ai", "are", "is", "was", "were", "have", "has", "dare")
_REAL_WORDS: Final = frozenset("ill its hell shell shed were well whore".split())
_WHOLE: Final = (
    "doin goin nothin nuthin ol somethin lovin havin doin' goin' nothin' nuthin' ol' somethin' lovin' havin' em ll "
    "nuff 'em 'll 'nuff 'S 's ‘S ‘s and/or w/o 're 'cause 'cos 'coz 'cuz 'bout ma'am o'clock 'd Mt. Ak. Ala. Apr. "
    "Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. "
    "Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. "
    "Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. "
    "Tenn. Va. Wash. Wis. a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. "
    "Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. ' '' C++ \\t \\n <space> ä. ö. ü. "
    "— :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( "
    ":-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 "
    ":() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< "
    "._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 "
    "(^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ¯\\(ツ)/¯ ಠ_ಠ (ಠ_ಠ) ಠ︵ಠ (╯°□°）╯︵┻━┻ "
    "><(((*> \\\")").split()
_SPLIT: Final = ("how|'d|'y not|'ve not|ve can|not gon|na got|ta let|'s c'm|on").split()
_CAPITALS: Final = frozenset(
    "doin goin nothin nuthin ol somethin lovin havin ma'am o'clock 'cause 'cos 'coz 'cuz".split())


def _joined(stem: str, *ends: str) -> Iterator[tuple[str, ...]]:
    """With an apostrophe before each end, and with none at all."""
    yield (stem, *ends)
    yield (stem, *(end.replace("'", "") for end in ends))


def _contractions() -> Iterator[tuple[str, ...]]:
    for word in (*_PERSONS, *_ASKING):
        for ends in (("'ll",), ("'ll", "'ve"), ("'d",), ("'d", "'ve")):
            yield from _joined(word, *ends)
    for word in ("i", "you", "we", "they", *_ASKING):
        if word not in ("that", "this"):
            yield from _joined(word, "'ve")
            if word != "i":
                yield from _joined(word, "'re")
    for word in ("he", "she", "it", *_ASKING):
        if word not in ("these", "those"):
            yield from _joined(word, "'s")
    yield from _joined("i", "'m")
    yield from (("i", "'m", "a"), ("i", "m", "a"))
    for verb in (*_VERBS, *_MORE_VERBS):
        yield from _joined(verb, "n't")
    for verb in _VERBS:
        yield from _joined(verb, "n't", "'ve")
    for verb in ("could", "might", "must", "should", "would"):
        yield from _joined(verb, "'ve")
    yield from (tuple(word.split("|")) for word in _SPLIT)


def special_words() -> dict[str, tuple[str, ...]]:
    """Every word with an exception of its own, and the tokens it gives."""
    words: dict[str, tuple[str, ...]] = {}
    for tokens in _contractions():
        for first in (tokens[0], tokens[0][0].upper() + tokens[0][1:]):
            word = first + "".join(tokens[1:])
            if word.lower() not in _REAL_WORDS:
                words[word] = (first, *tokens[1:])
    for hour in range(1, 13):
        words |= {f"{hour}{half}": (str(hour), half) for half in ("a.m.", "am", "p.m.", "pm")}
    words |= {"y'all": ("y'", "all"), "yall": ("y", "all")}
    words |= {word: (word,) for word in _WHOLE}
    for word in _WHOLE:
        if word.rstrip("'") in _CAPITALS:
            letter = len(word) - len(word.lstrip("'"))
            capital = word[:letter] + word[letter].upper() + word[letter + 1 :]
            words[capital] = (capital,)
    words |= {f"°{letter}.": ("°", letter, ".") for letter in "cfkCFK"}
    words |= {f"{letter}.": (f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz"}
    curly = {w.replace("'", "’"): tuple(p.replace("'", "’") for p in tokens) for w, tokens in words.items() if "'" in w}
    return {**curly, **words}


def _packed(tokens: tuple[str, ...]) -> int:
    return sum(len(token) << 8 * index for index, token in enumerate(tokens))


_WORDS: Final = special_words()
LONGEST_SPECIAL: Final = max(map(len, _WORDS))
SPECIAL_KEYS, SPECIAL_TOKENS = hash_table({word_hash(w): _packed(p) for w, p in _WORDS.items()}, np.uint32)
"""Hashes of special words, and the lengths of their tokens in code points, a byte each."""


def _outer_letters() -> npt.NDArray[np.bool_]:
    known = np.zeros((128, 128), np.bool_)
    for word in _WORDS:
        known[ord(word[0]) & 127, ord(word[-1]) & 127] = True
    return known


OUTER_LETTERS: Final = _outer_letters()
"""bool [128, 128]: whether a special word may begin and end with two code points, by their low seven bits."""
