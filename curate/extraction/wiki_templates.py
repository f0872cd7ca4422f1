"""Templates of wikis that stand for words of the running text, and what each becomes; all others leave a hole.

The list is of those that occur most within sentences of the larger wikis. None is expanded as its wiki would: that
takes the wiki's own pages, which dumps of articles do not hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

_AS_IT_IS: Final = (
    "nowrap", "nobr", "small", "smaller", "big", "midsize", "mvar", "var", "em", "strong", "abbr", "tooltip", "sc",
    "smallcaps", "sub", "sup", "ipa", "ipa link", "audio-ipa", "keypress", "key", "kbd", "char", "script", "mono",
    "fmtn", "ta", "flag", "flagu", "flagcountry", "ill", "illm", "interlanguage link", "link-interwiki", "latin",
    "not a typo", "as written", "linktext", "vanchor", "visible anchor", "incise", "math", "val", "num", "gaps",
    "ألمانية")
_LAST: Final = ("lang", "transl", "transliteration", "langue", "lang-x2", "rtl-lang")

KEPT: Final[dict[str, str]] = {
    **dict.fromkeys(_AS_IT_IS, "{1}"), **dict.fromkeys(_LAST, "{-1}"),
    "quote": "\n\n{1}\n\n", "blockquote": "\n\n{1}\n\n", "cquote": "\n\n{1}\n\n", "quotation": "\n\n{1}\n\n",
    "frac": "{1}/{2}", "sfrac": "{1}/{2}", "circa": "c. {1}", "c.": "c. {1}", "as of": "as of {1}",
    "ndash": "\u2013", "en dash": "\u2013", "snd": " \u2013 ", "spaced ndash": " \u2013 ", "mdash": "\u2014",
    "em dash": "\u2014", "nbsp": " ", "spaces": " ", "'": "'", "'s": "'s", "!": "|", "=": "=", "pi": "\u03c0",
    "angbr": "\u27e8{1}\u27e9", "vr": "\u27e8{1}\u27e9", "angle bracket": "\u27e8{1}\u27e9", "sic": "[sic]",
    "isbn": "ISBN {1}", "issn": "ISSN {1}", "oclc": "OCLC {1}", "hms": "HMS {1}", "uss": "USS {1}", "rms": "RMS {1}",
    "ss": "SS {1}", "us$": "US${1}", "euro": "\u20ac{1}", "gbp": "\u00a3{1}", "inrconvert": "\u20b9{1} {2}",
    "nihongo": "{1} ({2}, {3})", "chem": "{*}", "chem2": "{1}", "нп5": "{2}", "не переведено 5": "{2}",
    "unité": "{1} {2}", "nombre": "{1} {2}", "unit": "{1} {2}", "tmp": "{1} {2}", "heure": "{1} h {2}",
    "date": "{1} {2} {3}", "date-": "{1} {2} {3}"}
"""By the template's name in lower case. {n} is the nth argument without a name, {-1} the last, {*} all of them."""

_CONVERSIONS: Final = frozenset({"convert", "cvt", "conv"})
_RANGES: Final = {"to": " to ", "-": "\u2013", "\u2013": "\u2013", "and": " and ", "or": " or ", "by": " by ",
                  "x": " \u00d7 ", "\u00d7": " \u00d7 "}
_SLOT: Final = re.compile(r"\{(-?\d|\*)\}")
_NUMBER: Final = re.compile(r"formatnum:([\d.,\s]+)")

Form = Callable[[Sequence[str]], str]
"""The arguments of a template that have no names -> the words it stands for."""


def form_of(name: str) -> Form | None:
    """What a template becomes; None for one that is no word of a text.

    name: in lower case, without blanks around it."""
    if name in _CONVERSIONS:
        return _measured
    if (number := _NUMBER.fullmatch(name)) is not None:
        return lambda arguments: number[1]
    form = KEPT.get(name) or ("{1}" if name.startswith(("lang-", "langue-")) else None)
    return None if form is None else lambda arguments: _filled(form, arguments)


def _filled(form: str, arguments: Sequence[str]) -> str:
    def argument(slot: re.Match[str]) -> str:
        if slot[1] == "*":
            return "".join(arguments)
        number = int(slot[1])
        return arguments[number - (number > 0)] if arguments and number <= len(arguments) else ""

    return _SLOT.sub(argument, form)


def _measured(arguments: Sequence[str]) -> str:
    """A quantity as it was given, in the unit that it was given in; two of them make a range."""
    if len(arguments) > 3 and (between := _RANGES.get(arguments[1])) is not None:
        return f"{arguments[0]}{between}{arguments[2]} {arguments[3]}"
    return " ".join(arguments[:2])
